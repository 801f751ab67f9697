"""nbops runs a NocoBase cluster from one terminal."""

__version__ = "0.1.0"
