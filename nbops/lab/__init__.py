"""Rehearsal machines: a cluster of real Debian machines on this box, made and removed by name."""
