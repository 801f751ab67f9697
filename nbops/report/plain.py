"""A run as plain lines: for logs, pipes and people who like to scroll.

One line a thing. What went well is gathered (hosts that were ok on one line); what changed
or failed stands by itself, at the moment it happens.
"""

from __future__ import annotations

from datetime import datetime
from functools import singledispatchmethod
from typing import TextIO

from nbops.base.clean import one_line
from nbops.base.events import (
    Event,
    MaintenanceMark,
    Note,
    PhaseStarted,
    PlayStarted,
    Question,
    RunEnded,
    RunStarted,
    Status,
    StepEnded,
    StepProgress,
    TaskStarted,
)
from nbops.lab.events import LabStep
from nbops.report import ending, step
from nbops.report.downtime import Downtime
from nbops.report.lines import Line, Span, count, duration, line, names
from nbops.report.out import Out
from nbops.report.tally import Tally

FEW = 8  # up to so many hosts, each change has a line of its own
PROGRESS_EVERY = 5.0  # seconds


class PlainObserver:
    """Prints events as lines. With `verbosity` each line bears its time, and each host its
    own result."""

    def __init__(
        self, stream: TextIO, *, verbosity: int = 0, downtime: Downtime | None = None
    ) -> None:
        self._out = Out(stream)
        self._verbosity = verbosity
        self._time = 0.0
        self._command = ""
        self._check = False
        self._tally: Tally | None = None
        self._downtime = downtime or Downtime()
        self._said: dict[tuple[str, str], tuple[str, float]] = {}

    def on_event(self, event: Event) -> None:
        """Print what the event has to say."""
        self._time = event.time
        self._downtime.take(event)
        self._take(event)

    def close(self) -> None:
        """Print what was still being gathered."""
        self._flush()

    @singledispatchmethod
    def _take(self, event: Event) -> None:
        """Events that this report does not know are for others."""

    @_take.register
    def _(self, event: RunStarted) -> None:
        self._command, self._check = event.command, event.check
        self._print(*ending.opening(event))

    @_take.register
    def _(self, event: PhaseStarted) -> None:
        self._heading("PHASE", event.phase)

    @_take.register
    def _(self, event: PlayStarted) -> None:
        self._heading("PLAY", f"{one_line(event.play)} ({names(event.hosts)})")

    @_take.register
    def _(self, event: TaskStarted) -> None:
        self._flush()
        self._said.clear()
        self._tally = Tally(event)
        word = "HANDLER" if event.handler else "TASK"
        self._print(line(f"{word} {one_line(event.task)}"))

    @_take.register
    def _(self, event: StepProgress) -> None:
        tally = self._tally
        slower = 1 + (len(tally.started.hosts) if tally else 1) // (FEW + 1)
        self._progress(event.step, event.host, event.message, PROGRESS_EVERY * slower)

    @_take.register
    def _(self, event: StepEnded) -> None:
        tally = self._tally
        if tally is None or tally.started.step != event.step:
            self._print(step.headline(event), *step.details(event, self._verbosity))
            return
        tally.take(event)
        details = step.details(event, self._verbosity)
        repeats = step.is_whole_loop(event) and event.host in tally.told
        repeats = repeats and event.status is not Status.IGNORED
        if (details or self._alone(event, tally)) and not repeats:
            self._print(step.headline(event), *details)
            tally.told.add(event.host)
        if tally.done:
            self._flush()

    @_take.register
    def _(self, event: MaintenanceMark) -> None:
        self._print(line("  ", *ending.mark(event).spans))

    @_take.register
    def _(self, event: Note) -> None:
        self._print(*ending.note(event))

    @_take.register
    def _(self, event: Question) -> None:
        self._print(*ending.question(event))

    @_take.register
    def _(self, event: LabStep) -> None:
        if event.seconds:
            self._print(line(f"{event.name}: {event.message} ({duration(event.seconds)})"))
        else:
            self._progress("lab", event.name, event.message, 0.0, indent="")

    @_take.register
    def _(self, event: RunEnded) -> None:
        self._flush()
        if event.recap:
            self._print(line(), line("RECAP"), *ending.recap(event))
        self._print(line(), *self._downtime.lines(event.time))
        self._print(*ending.closing(event, command=self._command, check=self._check))

    def _alone(self, event: StepEnded, tally: Tally) -> bool:
        """Whether a result has a line of its own."""
        if step.is_bad(event) or self._verbosity:
            return True
        few = len(tally.started.hosts) <= FEW
        return (event.status is Status.CHANGED and few) or event.status is Status.RESCUED

    def _progress(self, key: str, who: str, message: str, every: float, indent: str = "  ") -> None:
        before, when = self._said.get((key, who), ("", -every))
        if message == before or self._time - when < every:
            return
        self._said[key, who] = (message, self._time)
        self._print(line(f"{indent}{who}: {one_line(message)}"))

    def _flush(self) -> None:
        """Say what was gathered of the present task."""
        tally, self._tally = self._tally, None
        if tally is None:
            return
        for status in Status:
            hosts = [host for host in tally.of(status) if host not in tally.told]
            if hosts:
                word = Span(f"{status:<{step.WIDTH}}", step.TONES[status])
                who = names(hosts) if len(hosts) <= FEW else count(len(hosts), "host")
                self._print(line("  ", word, "  ", who))

    def _heading(self, word: str, name: str) -> None:
        self._flush()
        self._print(line(), line(f"{word} {name}"))

    def _print(self, *lines: Line) -> None:
        stamp = ""
        if self._verbosity:
            stamp = f"{datetime.fromtimestamp(self._time).astimezone():%H:%M:%S} "
        for one in lines:
            self._out.write(f"{stamp}{one.text}".rstrip())
