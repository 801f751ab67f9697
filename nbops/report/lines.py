"""Lines of a report before it is known where they are shown: text with a tone.

The plain report prints the text, the live one gives each tone a colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from nbops.base.clean import clean


class Tone(StrEnum):
    """What a piece of text is, so that it can be coloured where there are colours."""

    PLAIN = "plain"
    STRONG = "strong"
    DIM = "dim"
    GOOD = "good"
    CHANGED = "changed"
    BAD = "bad"
    WARNING = "warning"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its pieces in order."""

    spans: tuple[Span, ...] = ()

    @property
    def text(self) -> str:
        """The line without its tones."""
        return "".join(span.text for span in self.spans).rstrip()


def line(*parts: str | Span) -> Line:
    """A line of these parts, cleaned; each a text or a text with a tone."""
    spans = (part if isinstance(part, Span) else Span(part) for part in parts)
    return Line(
        tuple(Span(clean(span.text).replace("\n", " "), span.tone) for span in spans if span.text)
    )


def block(
    text: str, *, indent: str, tone: Tone = Tone.PLAIN, most: int | None = None
) -> list[Line]:
    """Text of several lines, each behind `indent`; of a long one the last `most` lines.

    No lines for no text.
    """
    if not text.strip():
        return []
    rows = clean(text).rstrip("\n").split("\n")
    left_out = 0 if most is None else max(0, len(rows) - most)
    shown = [line(indent, Span(row.expandtabs(8), tone)) for row in rows[left_out:]]
    if left_out:
        shown.insert(0, line(indent, Span(f"({left_out} lines before; -vv shows all)", Tone.DIM)))
    return shown


def duration(seconds: float) -> str:
    """Seconds in words for people: `0.4 s`, `12 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def count(number: int, word: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {word}" if number == 1 else f"{number:,} {word}s"


def names(hosts: Sequence[str], most: int = 8) -> str:
    """Hosts by name, the first `most` of them when there are many."""
    if len(hosts) <= most:
        return ", ".join(hosts)
    return f"{', '.join(hosts[: most - 1])} and {len(hosts) - most + 1} more"
