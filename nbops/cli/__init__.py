"""The commands: read arguments, call, show, exit code."""
