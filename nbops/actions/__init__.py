"""The general actions, one file each."""
