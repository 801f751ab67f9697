"""One task for one host, and what every task of a run is carried out with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from nbops.actions.api import Action, Directive
from nbops.base.errors import ActionFailed
from nbops.base.events import Emit, Note, Status, StepEnded, StepProgress
from nbops.base.ids import StepId
from nbops.base.retry import Stop
from nbops.base.secret import Masker
from nbops.engine import outcome as outcomes
from nbops.engine.astray import Astray
from nbops.engine.connections import Connections
from nbops.engine.context import Seals
from nbops.engine.outcome import TaskOutcome
from nbops.engine.past import NoPast, Past, document_of
from nbops.engine.scope import Scope, flag
from nbops.engine.variables import PlayVariables, VariableStore
from nbops.journal.store import Journal
from nbops.runbook.expr import Templar, Variables
from nbops.runbook.model import Task
from nbops.runbook.values import OMIT


class Actions(Protocol):
    """The actions of a run, by name."""

    def action(self, name: str) -> Action[Any]:
        """The action of this name. Raises UsageError when there is none."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What every task of a run is carried out with. `openly` tells of a word whether it is
    written down anyway, also where it is somebody's secret."""

    actions: Actions
    templar: Templar
    journal: Journal
    seals: Seals
    masker: Masker
    connections: Connections
    astray: Astray
    store: VariableStore
    emit: Emit
    stop: Stop
    root: Path
    openly: Callable[[str], bool] = lambda _word: False
    check: bool = False
    diff: bool = False
    past: Past = field(default_factory=NoPast)

    @property
    def led_another_way(self) -> bool:
        """Whether the run is to be undone by other hosts than were there then, and some of them
        had gone on further than it has come again."""
        past = self.past
        turned = past.changed and (past.aborting or past.undoing)
        return turned and (past.further(self.known) or not self.seals.complete)

    @property
    def known(self) -> frozenset[str]:
        """The hosts that there are."""
        return frozenset({*self.store.known(), "localhost"})


@dataclass(frozen=True, kw_only=True)
class Call:
    """One task for one host: the task, what is around it, and the play it is in.

    `pass_number` tells apart the times that the same task runs in one run (a handler
    flushed twice, an include in a loop). `instead_of` is the host that did it before the run was
    interrupted, where that is in the inventory no more.
    """

    task: Task
    scope: Scope
    host: str
    hosts: Sequence[str]
    play: PlayVariables
    phase: str = ""
    pass_number: int = 1
    instead_of: str = ""
    parts: Parts = field(repr=False)

    @property
    def templar(self) -> Templar:
        """What evaluates the task's texts: it looks for files beside the task's first."""
        return self.parts.templar.within(self.task.folder)

    def keyword(self, name: str, variables: Variables) -> Any:
        """The value of an inherited keyword; one that is `omit` counts as not written."""
        for one in reversed(self.scope.around):
            written = getattr(one, name, None)
            if written is None:
                continue
            place = one.places.get(name, self.task.place)
            value = self.templar.render(written, variables, place)
            if value is not OMIT:
                return value
        return None

    def hides(self, variables: Variables) -> bool:
        """Whether `no_log` keeps the result out of every output; also when nobody can tell."""
        try:
            return flag(self.keyword("no_log", variables))
        except ActionFailed:
            return True

    def recalled(self) -> TaskOutcome | None:
        """What the task gave before the run was interrupted; None when it has to be done."""
        did = self.instead_of or self.host
        found = self.parts.past.outcome(
            self.task.path, did, self.pass_number, guards=self.scope.guards
        )
        return replace(found, host=self.host) if found else None

    @property
    def done(self) -> bool:
        """Whether the task came to its end before the run was interrupted."""
        did = self.instead_of or self.host
        return self.parts.past.done(self.task.path, did, self.pass_number)

    @property
    def begun(self) -> bool:
        """Whether the task was begun on this host before the run was interrupted."""
        return self.done or self.open

    @property
    def open(self) -> bool:
        """Whether effects of the task may still be at work."""
        return bool(self.parts.past.open_effects(self.place, self.host))

    @property
    def gone(self) -> str:
        """The host that did the task before, and is in the inventory no more; empty: none."""
        return self.parts.past.stood_for(self.task.path, self.pass_number, self.parts.known)

    @property
    def passed_over(self) -> bool:
        """Whether the run that is to be undone never did this here, and yet went on."""
        noted = (self.task.path, self.host) in self.parts.past.noted
        return self.parts.led_another_way and not noted and not self.begun

    def try_anew(self) -> None:
        """What failed before the run was stopped has effects of its own when it is tried anew:
        its jobs of then have ended, and would only give their failure again."""
        counts = self.parts.past.try_anew(
            self.task.path, self.host, self.pass_number, guards=self.scope.guards
        )
        if counts:
            self.parts.journal.retried(self.task.path, self.host, self.pass_number, counts)

    def keep(self, outcome: TaskOutcome) -> None:
        """Note what the task gave, for a run that is resumed."""
        if self.parts.check or outcome.hidden:
            return
        masker = self.parts.masker
        document = document_of(outcome, masker.data)
        if document is None and document_of(outcome, lambda data: data) is not None:
            document = document_of(outcome, masker.without(self.parts.openly).data)
        if document is not None:
            self.parts.journal.outcome(self.task.path, self.host, self.pass_number, document)

    @property
    def place(self) -> str:
        """The task's path, with the pass when it is not the first."""
        path = self.task.path
        return f"{path}#{self.pass_number}" if self.pass_number > 1 else path

    def false_condition(self, variables: Variables) -> tuple[Any] | None:
        """The first condition that does not hold, in a tuple (it may be None); else None."""
        for condition, place in self.scope.conditions:
            if not self.templar.condition(condition, variables, place):
                return (condition,)
        return None

    def progress(self, message: str, attempt: int = 1, attempts: int = 1) -> None:
        """Say how far the task is on this host."""
        self.parts.emit(
            StepProgress(
                step=self.task.path,
                task=task_name(self.task),
                host=self.host,
                message=message,
                attempt=attempt,
                attempts=attempts,
            )
        )

    def tell(
        self,
        step: StepResult,
        seconds: float,
        *,
        index: int = -1,
        item: Any = None,
        outcome: TaskOutcome | None = None,
        hidden: bool = False,
    ) -> None:
        """Say what came of an item or of the whole task, and note it in the journal."""
        data = self.parts.masker.data(step.data)
        diff = str(data.pop("diff", ""))
        status = outcomes.status_of(step.data)
        message = str(data.get("msg", ""))
        if hidden:
            data = {"censored": outcomes.CENSORED, "changed": data.get("changed")}
            diff, item = "", None if item is None else outcomes.HIDDEN_ITEM
            message = outcomes.CENSORED if status is Status.FAILED else ""
        if outcome is not None and outcome.ignored and status is Status.FAILED:
            status = Status.IGNORED
        attempt = int(step.data.get("attempts", 1))
        place = StepId(self.task.path, self.host, index, attempt)
        self.parts.journal.result(place, self.pass_number, status, data)
        self.parts.emit(
            StepEnded(
                step=self.task.path,
                task=task_name(self.task),
                action=self.task.action,
                host=self.host,
                status=status,
                seconds=seconds,
                item=item,
                attempt=attempt,
                message=message,
                result=data,
                diff=diff,
                phase=self.phase,
                delegate=step.delegate,
            )
        )
        for warning in data.get("warnings", ()):
            self.parts.emit(Note(level="warning", message=str(warning), host=self.host))


@dataclass
class StepResult:
    """What one item came to: the registered data, and what the action gave beside it.

    `ignored`: its failure counts as none.
    """

    data: dict[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    directive: Directive | None = None
    loop_values: Mapping[str, Any] = field(default_factory=dict)
    delegate: str = ""
    ignored: bool = False


def one_of(calls: Sequence[Call], *, in_parts: bool) -> Call:
    """Who does what is done once: who did it before the run was interrupted; else the first, who
    takes it over from a host that is in the inventory no more, unless the play goes through its
    hosts `in_parts`, where each part has it done."""
    first = next((call for call in calls if call.begun), calls[0])
    return first if first.begun or in_parts else replace(first, instead_of=first.gone)


def task_name(task: Task) -> str:
    """What a task is called: its name, or its action's."""
    return str(task.name) if task.name else task.action
