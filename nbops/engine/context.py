"""What an action may use on a host: every effect with its intent before and result after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from nbops.base.command import DEFAULT_DEADLINE, Command, Effect, Identity, Outcome, Text
from nbops.base.errors import ActionFailed, ConnectionLost, DeadlineExceeded, HostUnusable
from nbops.base.events import Emit, Event
from nbops.base.ids import StepId
from nbops.base.paths import inside
from nbops.base.retry import Deadline, Stop
from nbops.base.secret import Secret, reveal
from nbops.engine.connections import Connections
from nbops.runbook.expr import Layer, Templar, Variables
from nbops.transport.session import Watch


class EffectLog(Protocol):
    """Where intents and results are written: the journal."""

    def intend(self, step: StepId, action: str, effect: str) -> None:
        """Returns when the intent is on disk."""

    def conclude(self, step: StepId | str, status: int) -> None:
        """Notes the end of the effect."""

    def sync(self) -> None:
        """Returns when all that was noted is on disk."""


class Seals(Protocol):
    """What tells from where on a failure undoes nothing: the compensations."""

    def seal(self, door: str) -> bool:
        """See `ActionContext.seal`; `door` is the host."""

    def unseal(self, door: str) -> None:
        """See `ActionContext.unseal`."""

    @property
    def complete(self) -> bool:
        """Whether all is known again that an interrupted run would have to undo."""


@dataclass
class StepContext:
    """The `ActionContext` of one step: a task, a host, an item, an attempt.

    `probe_only`: the task promised that it changes nothing, so no job is made of it. `again`
    counts how often the task is done anew because nobody can say what came of it. `sent` are
    the step ids of the jobs that the action sent; `lose` is told of one whose connection was lost.
    """

    host: str
    action: str
    step: StepId
    check: bool
    diff: bool
    identity: Identity
    environment: Mapping[str, Text]
    variables: Variables
    hosts: Sequence[str]
    folder: Path
    root: Path
    stop: Stop
    connections: Connections = field(repr=False)
    log: EffectLog = field(repr=False)
    seals: Seals = field(repr=False)
    templar: Templar = field(repr=False)
    emit_event: Emit = field(repr=False)
    say: Callable[[str], None] = field(repr=False)
    lose: Callable[[str, str, Identity], None] = field(repr=False)
    limit: Deadline | None = None
    probe_only: bool = False
    again: int = 0
    sent: list[str] = field(default_factory=list)

    @property
    def become(self) -> bool:
        """Whether the task acts as another user than the login's."""
        return not self.identity.is_login

    @property
    def vars(self) -> Mapping[str, Any]:
        """The task's variables on this host, evaluated when read."""
        return self.variables

    def probe(
        self,
        script: Text,
        *,
        env: Mapping[str, Text] | None = None,
        stdin: bytes | None = None,
        cwd: str | None = None,
        deadline: float | None = None,
    ) -> Outcome:
        """Run a script that changes nothing; straight in the host's shell."""
        command = Command(
            script,
            env={**self.environment, **(env or {})},
            stdin=stdin,
            cwd=cwd,
            deadline=self._within(deadline),
            identity=self.identity,
        )
        return self.connections.session(self.host).run(command)

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
        """Run a script that may change the host, as a job with intent and result on disk."""
        if self.check:
            raise RuntimeError(f"{self.action}: an action must change nothing in check mode")
        effect = Effect.NONE if self.probe_only else Effect.JOB
        command = Command(
            script,
            env={**self.environment, **(env or {})},
            stdin=stdin,
            cwd=cwd,
            effect=effect,
            deadline=self._within(deadline),
            idle=idle,
            step=str(self.step),
            identity=self.identity,
            shell=shell,
        )
        step = replace(self.step, text=_digest(command, self.step, self.again))
        self.step = self.step.next_part()
        command = replace(command, step=str(step))
        if effect is not Effect.NONE:
            self.sent.append(str(step))
            self.log.intend(step, self.action, effect)
        else:  # It is done again when the run is killed; what came before it must not be.
            self.log.sync()
        try:
            outcome = self.connections.session(self.host).run(command, watch)
        except (HostUnusable, ConnectionLost):
            if effect is not Effect.NONE:
                self.lose(self.host, str(step), self.identity)
            raise
        if effect is not Effect.NONE:
            self.log.conclude(step, outcome.status)
        return outcome

    def stage(self, content: bytes | Path) -> str:
        """Content as a private file in the run's folder on the host; gives its path there."""
        return self.connections.session(self.host).stage(content, self.identity)

    def fetch(self, path: str) -> bytes:
        """The content of a file on the host."""
        return self.connections.session(self.host).fetch(path, self.identity)

    def render(self, text: str, name: str, extra: Mapping[str, Any] | None = None) -> str | Secret:
        """A template's text with the task's variables; a Secret when one went into it. `name` is
        what errors call it."""
        variables = self.variables
        if extra:
            variables = variables.with_layer(Layer("template variables", extra, template=False))
        return self.templar.text(text, variables, name=name)

    def evaluate(self, expression: str) -> Any:
        """An expression without braces (`debug: var=…`) as plain data."""
        return self.templar.expression(expression, self.variables)

    def holds(self, condition: Any) -> bool:
        """Whether a condition (`assert: that=…`) is true."""
        return self.templar.condition(condition, self.variables)

    def find(self, name: str, folder: str) -> Path:
        """A file of the runbook's; see `ActionContext.find`."""
        root = self.root.resolve()
        tried = [self.folder / folder / name, self.folder / name, root / folder / name, root / name]
        there = [path for path in tried if path.exists()]
        for path in there:
            if inside(path, (root, self.folder)):
                return path
        if there:
            raise ActionFailed(
                f"{name}: lies outside the runbook's folder", hint=f"put it below {root}"
            )
        raise ActionFailed(
            f"{name}: no such file in the runbook's folder",
            hint=f"looked in {', '.join(dict.fromkeys(str(path.parent) for path in tried))}",
        )

    def seal(self) -> bool:
        """See `ActionContext.seal`."""
        return self.seals.seal(self.host)

    def unseal(self) -> None:
        """See `ActionContext.unseal`."""
        self.seals.unseal(self.host)

    def progress(self, message: str) -> None:
        """Say how far this step is, in a few words."""
        self.say(message)

    def emit(self, event: Event) -> None:
        """Tell the observers something else."""
        self.emit_event(event)

    def _within(self, deadline: float | None) -> float:
        if self.limit is None:
            return DEFAULT_DEADLINE if deadline is None else deadline
        if self.limit.passed:
            raise DeadlineExceeded(f"{self.action}: not done within {self.limit.seconds:g} s")
        return self.limit.left if deadline is None else min(deadline, self.limit.left)


def _digest(command: Command, step: StepId, again: int) -> str:
    """Names a command by what it is, in eight letters that tell nothing of it."""
    said = [str(step), str(again), command.text(), command.shell, command.cwd or ""]
    said += [f"{name}={reveal(value)}" for name, value in sorted(command.env.items())]
    return hashlib.sha256(
        "\0".join(said).encode("utf-8", "replace") + (command.stdin or b"")
    ).hexdigest()[:8]
