"""Writing lines to where the user looks, without ever standing in the way of the run."""

from __future__ import annotations

from collections import deque
from typing import TextIO


class Out:
    """Lines to a text stream, each flushed at once.

    A reader that goes away (`| head`) or a full disk ends the report and not the run: from
    then on nothing more is written, and `broken` says so. A signal handler may call `write`
    while it is at work: its line follows the one that is being written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: deque[str] = deque()
        self._writing = False
        self.broken = False

    def write(self, text: str) -> None:
        """Write one line (without its newline)."""
        self._waiting.append(text)
        if self._writing:
            return
        self._writing = True
        try:
            while self._waiting:
                self._put(self._waiting.popleft())
        finally:
            self._writing = False

    def _put(self, text: str) -> None:
        if self.broken:
            return
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.broken = True
