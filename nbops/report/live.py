"""What the live view shows at a moment: the present task, and what each host is doing.

A pure picture of the events so far; the terminal draws it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nbops.base.clean import one_line
from nbops.base.events import Status
from nbops.report.lines import Line, Span, Tone, duration, line, names
from nbops.report.step import TONES
from nbops.report.tally import Tally, Waiting

MOST_ROWS = 12
_COLUMN = 14  # letters for a host's name, at most


@dataclass
class Scene:
    """What is going on. `parts` are pieces of a lab; a run has a task instead."""

    phase: str = ""
    tally: Tally | None = None
    parts: dict[str, Waiting] = field(default_factory=dict)
    maintenance: float | None = None

    def lines(self, now: float, *, width: int, height: int) -> list[Line]:
        """The live part of the screen at the time `now`, no wider and no higher than given."""
        rows = max(1, min(MOST_ROWS, height - 4))
        if self.tally is not None:
            waiting: Iterable[tuple[str, Waiting]] = self.tally.waiting.items()
            head = [self._head(self.tally, now, width)]
        else:
            waiting = self.parts.items()
            head = []
        shown = [*head, *_rows(list(waiting), now, rows, width)]
        return [cut(one, width) for one in shown]

    def _head(self, tally: Tally, now: float, width: int) -> Line:
        total = len(tally.started.hosts)
        asides: list[str | Span] = []
        if total > 1:
            asides.append(f"  {len(tally.ended)} of {total} hosts")
        bad = len(tally.of(Status.FAILED)) + len(tally.of(Status.UNREACHABLE))
        if bad:
            asides.append(Span(f"  {bad} failed", Tone.BAD))
        asides.append(Span(f"  {duration(now - tally.started.time)}", Tone.DIM))
        if self.maintenance is not None:
            asides.append(Span(f"  503 for {duration(now - self.maintenance)}", Tone.WARNING))
        phase = f"{one_line(self.phase)} › " if self.phase else ""
        task = one_line(tally.started.task)
        room = width - len(line(phase, *asides).text)
        return line(Span(phase, Tone.DIM), Span(_short(task, room), Tone.STRONG), *asides)


def summary(tally: Tally, now: float) -> Line | None:
    """A task that is over, in one line; None when it was skipped everywhere."""
    words: list[str | Span] = []
    for status in Status:
        hosts = tally.of(status)
        if hosts and (status is not Status.SKIPPED or words):
            words += [", "] if words else []
            words.append(Span(status.value, TONES[status]))
            words.append(f" {names([one_line(host) for host in hosts], most=3)}")
    if not words:
        return None
    changed = any(status is not Status.OK for status in tally.ended.values())
    tone = Tone.PLAIN if changed else Tone.DIM
    took = now - tally.started.time
    aside = [Span(f" ({duration(took)})", Tone.DIM)] if took >= 1 else []
    return line("  ", Span(one_line(tally.started.task), tone), ": ", *words, *aside)


def cut(one: Line, width: int) -> Line:
    """A line no wider than `width` cells, an ellipsis where it was cut."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(one.text) <= width:
        return one
    left = width - 1
    spans: list[Span] = []
    for span in one.spans:
        size = cell_len(span.text)
        if size >= left:
            spans.append(Span(set_cell_size(span.text, left) + "…", span.tone))
            break
        spans.append(span)
        left -= size
    return Line(tuple(spans))


def _rows(waiting: list[tuple[str, Waiting]], now: float, most: int, width: int) -> list[Line]:
    """A row for each that has something to say; the others together, and how many more."""
    speaking = [(one_line(name), one) for name, one in waiting if one.message]
    silent = [one_line(name) for name, one in waiting if not one.message]
    shown = speaking[: most - 1]
    silent = [name for name, _ in speaking[most - 1 :]] + silent
    column = min(_COLUMN, max((len(name) for name, _ in shown), default=0))
    rows = [_row(name, one, now, column, width) for name, one in shown]
    if silent:
        rows.append(line("  ", Span(names(silent, most=5), Tone.DIM)))
    return rows


def _row(name: str, one: Waiting, now: float, column: int, width: int) -> Line:
    took = duration(max(0.0, now - one.since))
    room = width - column - len(took) - 6
    host = _short(name, column).ljust(column)
    return line("  ", host, "  ", _short(one_line(one.message), room), "  ", Span(took, Tone.DIM))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(0, most - 1)]}…"
