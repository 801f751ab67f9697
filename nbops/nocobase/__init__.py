"""What is known about NocoBase, and the actions made of it."""
