"""A run on a terminal: what is going on now, live; what is done scrolls above it.

The cursor is never hidden and no other mode of the terminal is changed, so that it is whole
whenever and however the process ends.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import singledispatchmethod
from threading import RLock

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from nbops.base.events import (
    Event,
    MaintenanceMark,
    Note,
    PhaseStarted,
    PlayStarted,
    Question,
    RunEnded,
    RunStarted,
    StepEnded,
    StepProgress,
    TaskStarted,
)
from nbops.lab.events import LabStep
from nbops.report import ending, step
from nbops.report.downtime import Downtime
from nbops.report.lines import Line, Span, Tone, duration, line
from nbops.report.live import Scene, summary
from nbops.report.tally import Tally, Waiting

_STYLES = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.DIM: "dim",
    Tone.GOOD: "green",
    Tone.CHANGED: "yellow",
    Tone.BAD: "bold red",
    Tone.WARNING: "magenta",
    Tone.ADDED: "green",
    Tone.REMOVED: "red",
}
_REFRESH = 4.0  # times a second: elapsed times move, and a slow link is not flooded


class _SteadyConsole(Console):
    """A console that leaves the cursor as it is."""

    def show_cursor(self, show: bool = True) -> bool:
        del show
        return False


class _Picture:
    """Drawn anew whenever rich asks for it, so that it is never older than what is above it."""

    def __init__(self, draw: Callable[[], Group]) -> None:
        self._draw = draw

    def __rich__(self) -> Group:
        return self._draw()


class TerminalObserver:
    """Shows events live on `console` (default: standard output)."""

    def __init__(
        self,
        console: Console | None = None,
        *,
        verbosity: int = 0,
        downtime: Downtime | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._console = console or _SteadyConsole(highlight=False, markup=False, emoji=False)
        self._verbosity = verbosity
        self._clock = clock
        self._scene = Scene()
        self._downtime = downtime or Downtime()
        self._state = RLock()  # guards the scene, which the drawing thread reads
        self._waiting: deque[Event] = deque()
        self._busy = False
        self._asking = False
        self._command = ""
        self._check = False
        self._gone = False
        self._live = self._new_live()

    def on_event(self, event: Event) -> None:
        """Show the event. One that a signal handler sends meanwhile is shown after it."""
        self._waiting.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._waiting:
                self._one(self._waiting.popleft())
        finally:
            self._busy = False

    def close(self) -> None:
        """Take the live part off the screen; what scrolled above it stays."""
        self._guarded(self._live.stop)

    def _one(self, event: Event) -> None:
        if isinstance(event, RunEnded):
            self._guarded(self._live.stop)
        elif isinstance(event, Question) and not event.answered:
            self._asking = True
            self._guarded(self._live.stop)  # what is typed would be drawn over
        elif isinstance(event, Question):
            self._asking = False
            self._live = self._new_live()  # the old one would clear what was typed
        elif not self._live.is_started and not self._asking:
            self._guarded(self._live.start)
        # The drawing thread holds the console's lock when it asks for the scene: so nothing
        # is printed while the scene is held.
        with self._state:
            self._downtime.take(event)
            self._scene.maintenance = self._downtime.began
            lines = self._take(event)
        if lines:
            shown = [_text(one) for one in lines]
            self._guarded(lambda: self._console.print(*shown, sep="\n", soft_wrap=True))

    def _new_live(self) -> Live:
        return Live(
            _Picture(self._draw),
            console=self._console,
            refresh_per_second=_REFRESH,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _guarded(self, draw: Callable[[], None]) -> None:
        """A terminal that went away ends the report and not the run."""
        if self._gone:
            return
        try:
            draw()
        except OSError:
            self._gone = True

    @singledispatchmethod
    def _take(self, event: Event) -> list[Line]:
        """Note the event in the scene; what it adds to the part that scrolls."""
        del event
        return []

    @_take.register
    def _(self, event: RunStarted) -> list[Line]:
        self._command, self._check = event.command, event.check
        return ending.opening(event)

    @_take.register
    def _(self, event: PhaseStarted) -> list[Line]:
        over = self._finish(event.time)
        self._scene.phase = event.phase
        return [*over, line(Span(event.phase, Tone.STRONG))]

    @_take.register
    def _(self, event: PlayStarted) -> list[Line]:
        return self._finish(event.time)

    @_take.register
    def _(self, event: TaskStarted) -> list[Line]:
        over = self._finish(event.time)
        self._scene.tally = Tally(event)
        return over

    @_take.register
    def _(self, event: StepProgress) -> list[Line]:
        if self._scene.tally is not None:
            self._scene.tally.progress(event)
        return []

    @_take.register
    def _(self, event: StepEnded) -> list[Line]:
        tally = self._scene.tally
        if tally is not None and tally.started.step == event.step:
            tally.take(event)
        details = step.details(event, self._verbosity)
        own = (details or step.is_bad(event) or self._verbosity) and not step.is_whole_loop(event)
        lines = [step.headline(event, indent="    "), *details] if own else []
        if tally is not None and tally.done:
            lines += self._finish(event.time)
        return lines

    @_take.register
    def _(self, event: MaintenanceMark) -> list[Line]:
        return [line("  ", *ending.mark(event).spans)]

    @_take.register
    def _(self, event: Note) -> list[Line]:
        return ending.note(event)

    @_take.register
    def _(self, event: Question) -> list[Line]:
        return ending.question(event)

    @_take.register
    def _(self, event: LabStep) -> list[Line]:
        if not event.seconds:
            self._scene.parts.setdefault(event.name, Waiting(event.time)).message = event.message
            return []
        self._scene.parts.pop(event.name, None)
        took = Span(f" ({duration(event.seconds)})", Tone.DIM)
        return [line("  ", event.name, ": ", event.message, took)]

    @_take.register
    def _(self, event: RunEnded) -> list[Line]:
        recap = ending.short_recap(event) if event.exit_code or self._verbosity else []
        over = [*self._finish(event.time), *recap, *self._downtime.lines(event.time)]
        return [*over, *ending.closing(event, command=self._command, check=self._check)]

    def _finish(self, now: float) -> list[Line]:
        """The task that is over, for the part that scrolls."""
        tally, self._scene.tally = self._scene.tally, None
        done = summary(tally, now) if tally is not None else None
        return [done] if done is not None else []

    def _draw(self) -> Group:
        size = self._console.size
        with self._state:
            lines = self._scene.lines(self._clock(), width=size.width, height=size.height)
        return Group(*(_text(one) for one in lines))


def _text(one: Line) -> Text:
    return Text.assemble(
        *((span.text, _STYLES[span.tone]) for span in one.spans), no_wrap=True, overflow="crop"
    )
