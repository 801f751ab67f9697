"""Observers of a run: terminal, plain lines, JSON lines."""
