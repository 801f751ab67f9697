"""Observers of a run: terminal, plain lines, JSON lines; and the web page of a past one."""
