"""What is written on disk about a run, before and after each effect."""
