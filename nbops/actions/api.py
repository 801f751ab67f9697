"""What an action is given, what it gives back, and what it must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from nbops.base.command import Outcome, Text
from nbops.base.events import Event
from nbops.base.retry import Stop
from nbops.base.secret import Secret
from nbops.runbook.spec import ActionSpec, Args
from nbops.transport.session import Watch

A_contra = TypeVar("A_contra", bound=Args, contravariant=True)


@dataclass(frozen=True, slots=True)
class Diff:
    """What a change did, or would do, to a text. Headers name the two sides."""

    before: str = ""
    after: str = ""
    before_header: str = "before"
    after_header: str = "after"


@dataclass(frozen=True)
class Directive:
    """What a flow action asks the engine to do; the action itself calls nothing."""


@dataclass(frozen=True)
class IncludeTasks(Directive):
    """Run the tasks of this file for the hosts that asked."""

    file: str


@dataclass(frozen=True)
class Meta(Directive):
    """`meta`: flush_handlers, clear_facts, clear_host_errors, end_play, end_host, noop,
    reset_connection, refresh_inventory."""

    what: str


@dataclass(frozen=True)
class EndRun(Directive):
    """There is nothing more to do: the run is over, and went well."""

    why: str


@dataclass(frozen=True)
class Result:
    """What came of an action on a host.

    `values` are the further keys that `register` gives, under Ansible's names where it has
    one. `facts` become variables of the host. A failed action says why in `msg`.
    """

    changed: bool = False
    failed: bool = False
    skipped: bool = False
    msg: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    diff: Diff | Sequence[Diff] | None = None
    warnings: tuple[str, ...] = ()
    directive: Directive | None = None


class ActionContext(Protocol):
    """What an action may use, for one host (and one item, one attempt).

    The methods that reach the host raise what `Session` raises; actions let that pass.
    """

    @property
    def host(self) -> str:
        """The inventory's name of the host acted on (the delegate, when there is one)."""

    @property
    def check(self) -> bool:
        """Whether nothing may be changed: say what would be."""

    @property
    def diff(self) -> bool:
        """Whether the user wants to see differences."""

    @property
    def become(self) -> bool:
        """Whether the task acts as another user than the login's."""

    @property
    def vars(self) -> Mapping[str, Any]:
        """The task's variables on this host, evaluated when read."""

    @property
    def hosts(self) -> Sequence[str]:
        """The hosts of the present batch of the play, in order."""

    @property
    def stop(self) -> Stop:
        """The run's stop signal, for whatever waits on this side."""

    def probe(
        self,
        script: Text,
        *,
        env: Mapping[str, Text] | None = None,
        stdin: bytes | None = None,
        cwd: str | None = None,
        deadline: float | None = None,
    ) -> Outcome:
        """Run a script that changes nothing; straight in the host's shell.

        `deadline` is in seconds; None: the task's `timeout`, or 300 s where there is none.
        """

    def act(
        self,
        script: Text,
        *,
        env: Mapping[str, Text] | None = None,
        stdin: bytes | None = None,
        cwd: str | None = None,
        deadline: float | None = None,
        idle: bool = False,
        shell: str = "/bin/sh",
        watch: Watch | None = None,
    ) -> Outcome:
        """Run a script that may change the host: as a job, with intent and result on disk.

        `deadline` is as for `probe`. Must not be called in check mode; raises RuntimeError then.
        """

    def stage(self, content: bytes | Path) -> str:
        """Content as a file of mode 0600 on the host, in the run's folder, to be put in
        place by `act`; gives its path there. The folder goes when the run is over, and the files
        that `litter` beside it names, one a line, go as well."""

    def fetch(self, path: str) -> bytes:
        """The content of a file on the host."""

    def render(self, text: str, name: str, extra: Mapping[str, Any] | None = None) -> str | Secret:
        """A template's text with the task's variables; a Secret when one went into it. `name` is
        what errors call it."""

    def evaluate(self, expression: str) -> Any:
        """An expression without braces (`debug: var=…`) as plain data. Raises ActionFailed."""

    def holds(self, condition: Any) -> bool:
        """Whether a condition (`assert: that=…`) is true. Raises ActionFailed."""

    def find(self, name: str, folder: str) -> Path:
        """A file of the runbook's: as given, in `folder` (`files`, `templates`) or beside the
        task's file. Raises ActionFailed when it is in none of them or outside the runbook's
        folder."""

    def seal(self) -> bool:
        """Say, before users are let in through this host, that what was done so far is not
        undone any more, by a failure or by `abort`; on disk on return. Gives whether this run
        may have let them in here already: the step was begun before, or is on the way back."""

    def unseal(self) -> None:
        """Take back the `seal` of this step: users are kept out again, as was seen."""

    def progress(self, message: str) -> None:
        """Say how far this step is, in a few words."""

    def emit(self, event: Event) -> None:
        """Tell the observers something else."""


class Action(Protocol[A_contra]):
    """An action: what it is, and how it is done on one host."""

    spec: ActionSpec

    def run(self, args: A_contra, ctx: ActionContext) -> Result:
        """Do it (or, in check mode, say what it would do)."""
