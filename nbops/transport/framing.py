"""Where the output of one command ends in a stream that never ends. Pure, no I/O.

The shell prints a mark after each command, on both outputs. A mark is drawn anew for each
command, so no output can hold it, and nothing is added to or lost from what it prints.
"""

from __future__ import annotations

import secrets

_MARK_BYTES = 16


def new_mark() -> str:
    """A text that nobody can guess: letters and digits."""
    return "N" + secrets.token_hex(_MARK_BYTES)


class Scanner:
    """Takes one output piece by piece, and tells payload from the mark's line.

    The line is `MARK WORDS\\n`; it follows the payload directly, whether or not that ends
    with a newline.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._held = b""
        self.words: str | None = None
        self.rest = b""

    @property
    def done(self) -> bool:
        """Whether the mark's whole line has come; `words` holds what stood in it."""
        return self.words is not None

    def feed(self, data: bytes) -> bytes:
        """The payload that is certain by now; what may be part of a mark is held back.

        After the end, further bytes are kept in `rest`: they belong to nobody.
        """
        if self.done:
            self.rest += data
            return b""
        text = self._held + data
        at = text.find(self._mark)
        if at < 0:
            keep = _overlap(text, self._mark)
            self._held = text[len(text) - keep :]
            return text[: len(text) - keep]
        end = text.find(b"\n", at)
        if end < 0:
            self._held = text[at:]
            return text[:at]
        self.words = text[at + len(self._mark) : end].decode("ascii", "replace").strip()
        self._held, self.rest = b"", text[end + 1 :]
        return text[:at]


def _overlap(text: bytes, mark: bytes) -> int:
    """How many bytes at the end of `text` may be the beginning of `mark`."""
    start = max(0, len(text) - len(mark) + 1)
    at = text.find(mark[:1], start)
    while at >= 0:
        if mark.startswith(text[at:]):
            return len(text) - at
        at = text.find(mark[:1], at + 1)
    return 0
