"""A past run put together from its events: phases, tasks, notes, the time behind the 503 page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import singledispatchmethod

from nbops.base.events import (
    Event,
    MaintenanceMark,
    Note,
    PhaseStarted,
    PlayStarted,
    RunEnded,
    RunStarted,
    Status,
    StepEnded,
    StepProgress,
    TaskStarted,
)
from nbops.engine.rollback import PHASE as UNDOING
from nbops.report import step
from nbops.report.downtime import Downtime
from nbops.report.tally import Tally

_WORST_FIRST = (
    Status.UNREACHABLE,
    Status.FAILED,
    Status.IGNORED,
    Status.RESCUED,
    Status.CHANGED,
    Status.OK,
    Status.SKIPPED,
)


@dataclass
class ToldTask:
    """One task: what came of it on each host, and how far those are that did not end."""

    tally: Tally
    play: str
    steps: list[StepEnded] = field(default_factory=list)

    @property
    def started(self) -> TaskStarted:
        """How it began."""
        return self.tally.started

    @property
    def seconds(self) -> float:
        """From its beginning to the last end that is known."""
        return max((one.time for one in self.steps), default=self.started.time) - self.started.time

    @property
    def who(self) -> list[str]:
        """The hosts on which it did something."""
        return [host for host, one in self.tally.ended.items() if one is not Status.SKIPPED]

    @property
    def status(self) -> Status | None:
        """The worst that came of it; None when nothing did."""
        found = set(self.tally.ended.values())
        return next((one for one in _WORST_FIRST if one in found), None)


@dataclass
class ToldPhase:
    """A part of the run, by its name (empty before the first one), and its tasks. `behind_page`
    are the seconds of it in which visitors got the 503 page."""

    name: str
    since: float
    until: float
    behind_page: float = 0.0
    tasks: list[ToldTask] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.until - self.since


@dataclass
class Window:
    """The 503 page at one balancer; `until` is None while it stands."""

    host: str
    since: float
    until: float | None = None


class Story:
    """Everything that the events of one run tell, in their order. A run that was resumed has
    begun more than once."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.hosts: tuple[str, ...] = ()
        self.check = False
        self.phases: list[ToldPhase] = []
        self.notes: list[Note] = []
        self.windows: list[Window] = []
        self.ended: RunEnded | None = None
        self.downtime = Downtime()
        self.last = 0.0
        self._play = ""
        self._tasks: dict[str, ToldTask] = {}
        for event in events:
            self.last = event.time
            self.downtime.take(event)
            self._take(event)
        self._close_phase(self.last)

    @property
    def tasks(self) -> list[ToldTask]:
        """All tasks, in the order in which they began."""
        return [task for phase in self.phases for task in phase.tasks]

    @property
    def parts(self) -> list[ToldPhase]:
        """The phases that have a name, a task, or a part of the 503 time."""
        return [one for one in self.phases if one.name or one.tasks or one.behind_page]

    @property
    def undone(self) -> list[ToldTask]:
        """What was done on the way back."""
        quiet = {Status.SKIPPED, None}
        tasks = [task for one in self.phases if one.name == UNDOING for task in one.tasks]
        return [task for task in tasks if task.status not in quiet]

    @property
    def closing(self) -> list[Note]:
        """What was said after the last step: what serves now, and what can be done."""
        last = max((one.time for task in self.tasks for one in task.steps), default=0.0)
        return [note for note in self.notes if note.time > last]

    @property
    def serves(self) -> str:
        """The version that was verified last and that visitors get; empty when there is none."""
        if self.check or self.downtime.stands:
            return ""
        found = [
            str(one.result.get("version", ""))
            for task in self.tasks
            for one in task.steps
            if one.action == "nocobase_verify" and one.status in {Status.OK, Status.CHANGED}
        ]
        return next((one for one in reversed(found) if one), "")

    def name_of(self, place: str) -> str:
        """The task at this place of the plan, by its name."""
        task = self._tasks.get(place)
        return task.started.task if task else f"the block at {place} of the plan"

    def failure(self, message: str) -> StepEnded | None:
        """The step that ended the run: the first failed one that `message`, the last word on
        the run, names; else the first failed one. An earlier one may have been rescued."""
        bad = [
            one
            for task in self.tasks
            for one in task.steps
            if one.status in {Status.FAILED, Status.UNREACHABLE} and not step.is_whole_loop(one)
        ]
        named = [one for one in bad if one.task in message and one.host in message]
        return next(iter(named or bad), None)

    @singledispatchmethod
    def _take(self, event: Event) -> None:
        """Other events tell nothing that a page keeps."""

    @_take.register
    def _(self, event: RunStarted) -> None:
        self.hosts, self.check = tuple(event.hosts), event.check
        self.ended = None
        self._phase("", event.time)

    @_take.register
    def _(self, event: PhaseStarted) -> None:
        self._phase(event.phase, event.time)

    @_take.register
    def _(self, event: PlayStarted) -> None:
        self._play = event.play

    @_take.register
    def _(self, event: TaskStarted) -> None:
        play = self._play if event.phase != UNDOING else ""
        task = self._tasks[event.step] = ToldTask(Tally(event), play)
        self._present(event.time).tasks.append(task)

    @_take.register
    def _(self, event: StepProgress) -> None:
        if event.step in self._tasks:
            self._tasks[event.step].tally.progress(event)

    @_take.register
    def _(self, event: StepEnded) -> None:
        if event.step not in self._tasks:
            started = TaskStarted(
                time=event.time - event.seconds,
                step=event.step,
                task=event.task,
                action=event.action,
                hosts=(event.host,),
                phase=event.phase,
            )
            self._take(started)
        task = self._tasks[event.step]
        task.tally.take(event)
        task.steps.append(event)

    @_take.register
    def _(self, event: MaintenanceMark) -> None:
        stands = [one for one in self.windows if one.host == event.host and one.until is None]
        if event.on and not stands:
            self.windows.append(Window(event.host, event.time))
        for one in stands if not event.on else ():
            one.until = event.time

    @_take.register
    def _(self, event: Note) -> None:
        self.notes.append(event)

    @_take.register
    def _(self, event: RunEnded) -> None:
        self.ended = event

    def _phase(self, name: str, now: float) -> None:
        self._close_phase(now)
        self.phases.append(ToldPhase(name, now, now))

    def _close_phase(self, now: float) -> None:
        self.downtime.until(now)
        if self.phases:
            self.phases[-1].until = now
            before = sum(one.behind_page for one in self.phases[:-1])
            self.phases[-1].behind_page = self.downtime.seconds - before

    def _present(self, now: float) -> ToldPhase:
        if not self.phases:
            self._phase("", now)
        return self.phases[-1]
