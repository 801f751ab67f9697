"""What a check found: gathered while it runs, then shown by host, each with what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import singledispatchmethod
from typing import Any

from nbops.base.clean import clean
from nbops.base.errors import HostUnusable
from nbops.base.events import Event, Note, RunEnded, RunStarted, Status, StepEnded
from nbops.report.lines import Line, Span, Tone, count, duration, line, names

PROBLEM, WARNING = "problem", "warning"
_TONES = {PROBLEM: Tone.BAD, WARNING: Tone.WARNING}
_WIDTH = len(PROBLEM)


class CheckObserver:
    """Gathers findings: those that steps give under `findings`, hosts that cannot be used,
    and whatever else failed. `progress` is told how far the check is."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._looked: set[str] = set()
        self.cluster = ""
        self.hosts: tuple[str, ...] = ()
        self.findings: list[Mapping[str, str]] = []
        self.notes: list[Note] = []
        self.unusable: set[str] = set()
        self.seconds = 0.0

    def on_event(self, event: Event) -> None:
        """Take one event."""
        self._take(event)

    def close(self) -> None:
        """Nothing is held."""

    @property
    def exit_code(self) -> int:
        """0 nothing in the way, 1 problems, 4 hosts that cannot be used."""
        if self.unusable:
            return HostUnusable.exit_code
        return 1 if self.number(PROBLEM) else 0

    def number(self, level: str) -> int:
        """How many findings of a level there are."""
        return sum(one["level"] == level for one in self.findings)

    def document(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "cluster": self.cluster,
            "hosts": list(self.hosts),
            "unusable": sorted(self.unusable),
            "problems": self.number(PROBLEM),
            "warnings": self.number(WARNING),
            "findings": [dict(one) for one in self.findings],
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> list[Line]:
        """Everything for people: by host, the worst first, what is fine at the end."""
        shown: list[Line] = []
        for host in self.hosts:
            found = [one for one in self.findings if one["host"] == host]
            if found:
                shown += [line(Span(host, Tone.STRONG)), *_found(found), line()]
        quiet = [host for host in self.hosts if not any(f["host"] == host for f in self.findings)]
        if quiet:
            shown += [line(Span("nothing to say of: ", Tone.GOOD), names(quiet)), line()]
        return [*shown, self._closing()]

    def _closing(self) -> Line:
        took = f" (looked at {count(len(self.hosts), 'host')} in {duration(self.seconds)})"
        problems, warnings = self.number(PROBLEM), self.number(WARNING)
        if not problems:
            words = "nothing stands in the way"
            words += f"; {count(warnings, 'warning')}" if warnings else ""
            return line(Span(words, Tone.GOOD), took)
        words = f"{count(problems, 'problem')} in the way, {count(warnings, 'warning')}"
        return line(Span(words, Tone.BAD), took)

    @singledispatchmethod
    def _take(self, event: Event) -> None:
        """Other events say nothing about what was found."""

    @_take.register
    def _(self, event: RunStarted) -> None:
        self.cluster, self.hosts = event.cluster, tuple(event.hosts)
        self._progress(f"looking at {count(len(self.hosts), 'host')}")

    @_take.register
    def _(self, event: StepEnded) -> None:
        found = [_whole(event.host, one) for one in event.result.get("findings") or ()]
        self.findings += found
        if event.action == "nocobase_preflight" and not found:
            self._looked.add(event.host)
            self._progress(f"{len(self._looked)} of {count(len(self.hosts), 'host')} looked at")
        if event.status is Status.UNREACHABLE:
            self.unusable.add(event.host)
            self._add(event.host, f"cannot be used: {event.message}")
        elif event.status in {Status.FAILED, Status.IGNORED} and not found:
            self._add(event.host, f"{event.task}: {event.message}")

    @_take.register
    def _(self, event: Note) -> None:
        self.notes.append(event)

    @_take.register
    def _(self, event: RunEnded) -> None:
        self.seconds = event.seconds

    def _add(self, host: str, what: str) -> None:
        one = {"host": host, "level": PROBLEM, "what": what, "remedy": ""}
        if one not in self.findings:
            self.findings.append(one)


def _whole(host: str, finding: Mapping[str, str] | str) -> Mapping[str, str]:
    """A finding with all its parts; one that is only a text is a problem."""
    if not isinstance(finding, str):
        return finding
    return {"host": host, "level": PROBLEM, "what": finding, "remedy": ""}


def _found(findings: Sequence[Mapping[str, str]]) -> list[Line]:
    shown: list[Line] = []
    for one in findings:
        tone = _TONES.get(one["level"], Tone.DIM)
        first, *more = clean(one["what"]).splitlines() or [""]
        shown.append(line("  ", Span(f"{one['level']:<{_WIDTH}}", tone), f"  {first}"))
        shown += [line(" " * (_WIDTH + 4), rest) for rest in more]
        if one["remedy"]:
            shown.append(line(" " * (_WIDTH + 4), Span(f"→ {one['remedy']}", Tone.DIM)))
    return shown
