"""The linear strategy: each task on all hosts of the batch, then the next one.

Blocks are walked with sets of hosts: those that fail leave the block's tasks, go through
`rescue` together, and `always` has all that can be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Protocol

from nbops.actions.api import MarkMaintenance, Meta
from nbops.base.errors import ActionFailed
from nbops.base.events import MaintenanceMark, PhaseStarted, Status, TaskStarted
from nbops.engine.batch import Batch, Failure
from nbops.engine.call import Call, Parts, task_name
from nbops.engine.handlers import Handlers
from nbops.engine.outcome import Included, TaskOutcome
from nbops.engine.scope import Scope, flag, selected
from nbops.engine.task import run_task
from nbops.runbook.expr import Layer
from nbops.runbook.model import Block, Common, Node, Task

_FAREWELL = 5.0  # seconds given to the hosts of a wave when the user ends the run at once


class Loader(Protocol):
    """Reads the tasks of an include while the run goes."""

    def __call__(self, file: str, task: Task) -> tuple[Node, ...]: ...


class Undo(Protocol):
    """Takes note of what would undo a step, before the step runs."""

    def note(self, node: Task | Block, scope: Scope, hosts: Sequence[str], batch: Batch) -> None:
        """`node.rollback` is to run for these hosts when the run fails; on disk on return."""

    def seal(self) -> None:
        """What was done so far is not undone any more: users work with it."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the user wants to run: tags, where to start."""

    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    start_at_task: str | None = None


@dataclass
class Linear:
    """Walks the nodes of a play with the hosts of a batch."""

    parts: Parts
    batch: Batch
    handlers: Handlers
    load: Loader
    undo: Undo
    workers: ThreadPoolExecutor
    choice: Choice = field(default_factory=Choice)
    phase: str = ""
    started: bool = True
    first_pass: int = 1
    _passes: dict[str, int] = field(default_factory=dict)

    def nodes(self, nodes: Sequence[Node], hosts: Sequence[str], scope: Scope) -> None:
        """Run nodes one after the other on those of `hosts` that are still live."""
        for node in nodes:
            live = self.batch.live(hosts)
            if not live or self.batch.over:
                return
            if isinstance(node, Block):
                self._block(node, live, scope.enter(node))
            else:
                self._task(node, live, scope.enter(node))

    def flush(self, scope: Scope, *, forced: bool = False) -> None:
        """Run the handlers that were notified, in the order in which they are written."""
        handling = replace(scope, handler=True)
        for task in self.handlers.tasks:
            hosts = self.batch.hosts
            due = self.handlers.take(task, hosts if forced else self.batch.live(hosts))
            if due and not self.batch.over:
                held = self.batch.hold(due)
                self._task(task, due, handling.enter(task))
                self.batch.put_back(held)

    def _block(self, block: Block, hosts: list[str], scope: Scope) -> None:
        if block.rollback:
            self.undo.note(block, scope, hosts, self.batch)
        self._enter_phase(block)
        self.nodes(block.block, hosts, replace(scope, guarded=scope.guarded or bool(block.rescue)))
        if block.rescue:
            back = self.batch.rescue(hosts, unreachable=block.rescue_unreachable)
            if back:
                self.nodes(block.rescue, back, scope)
        if block.always:
            held = self.batch.hold(hosts)
            self.nodes(block.always, hosts, scope)
            self.batch.put_back(held)

    def _task(self, task: Task, hosts: list[str], scope: Scope) -> None:
        if not self._chosen(task, scope):
            return
        self._enter_phase(task)
        variables = self.parts.store.of_task(hosts[0], scope, self.batch.play)
        task = self._named(task, scope, hosts[0])
        once = flag(self.parts.templar.render(scope.pick("run_once"), variables)) or self._is_once(
            task
        )
        acting = hosts[:1] if once else hosts
        if task.rollback and not self.parts.check:
            self.undo.note(task, scope, acting, self.batch)
        calls = self._calls(task, acting, scope)
        if task.action != "meta" and any(call.recalled() is None for call in calls):
            self.parts.emit(
                TaskStarted(
                    step=task.path,
                    task=task_name(task),
                    action=task.action,
                    hosts=tuple(acting),
                    phase=self.phase,
                    handler=scope.handler,
                )
            )
        results = self._wave(calls)
        for outcome in results:
            self._take(outcome, task, scope, self._sharers() if once else [outcome.host])
        self._includes(task, results, scope, hosts if once else None)
        self._directives(results, scope)
        self._limits(task, results, scope, once=once)

    def _sharers(self) -> list[str]:
        """The hosts that a result of `run_once` is for: all but the unreachable ones."""
        return [host for host in self.batch.hosts if host not in self.batch.unreachable]

    def _is_once(self, task: Task) -> bool:
        return self.parts.actions.action(task.action).spec.once

    def _calls(self, task: Task, hosts: Sequence[str], scope: Scope) -> list[Call]:
        self._passes[task.path] = self._passes.get(task.path, self.first_pass - 1) + 1
        return [
            Call(
                task=task,
                scope=scope,
                host=host,
                hosts=self.batch.hosts,
                play=self.batch.play,
                phase=self.phase,
                pass_number=self._passes[task.path],
                parts=self.parts,
            )
            for host in hosts
        ]

    def _wave(self, calls: Sequence[Call]) -> list[TaskOutcome]:
        """A task on all its hosts at once; the outcomes in the order of the hosts."""
        if len(calls) == 1:
            return [run_task(calls[0])]
        futures = [self.workers.submit(run_task, call) for call in calls]
        try:
            wait(futures)
        except BaseException:
            self.parts.stop.set()
            wait(futures, timeout=_FAREWELL)
            raise
        return [future.result() for future in futures]

    def _take(self, outcome: TaskOutcome, task: Task, scope: Scope, sharers: Sequence[str]) -> None:
        """Count an outcome, and keep what it gives: registered values, facts, notices."""
        states = self.batch.states
        if task.action != "meta":
            states[outcome.host].count(*outcome.counts(rescued=scope.guarded))
        for host in sharers:
            if task.register:
                states[host].set[task.register] = outcome.registered
            states[outcome.fact_host or host].set.update(outcome.facts)
            states[outcome.fact_host or host].facts.update(outcome.host_facts)
        failure = Failure(task_name(task), outcome.registered, guarded=scope.guarded)
        if outcome.status is Status.UNREACHABLE and not outcome.ignored:
            self.batch.unreachable[outcome.host] = failure
        elif outcome.failed and not outcome.ignored:
            self.batch.fail(outcome.host, failure)
        elif outcome.changed:
            variables = self.parts.store.of_task(outcome.host, scope, self.batch.play)
            for written in scope.notify:
                names = self.parts.templar.render(written, variables, task.place)
                for name in names if isinstance(names, list) else [names]:
                    self.handlers.notify(str(name), sharers)

    def _includes(
        self,
        task: Task,
        results: Sequence[TaskOutcome],
        scope: Scope,
        everyone: Sequence[str] | None,
    ) -> None:
        """Run included tasks: hosts that include the same file with the same values together."""
        groups: list[tuple[Included, list[str]]] = []
        for outcome in results:
            for included in outcome.includes:
                for known, members in groups:
                    if known == included and outcome.host not in members:
                        members.append(outcome.host)
                        break
                else:
                    groups.append((included, [outcome.host]))
        for included, members in groups:
            try:
                nodes = self.load(included.file, task)
            except ActionFailed as error:
                for host in members:
                    self.batch.states[host].count("rescued" if scope.guarded else "failed")
                    result = {"changed": False, "failed": True, "msg": str(error)}
                    self.batch.fail(host, Failure(task_name(task), result, scope.guarded))
                continue
            layer = Layer(f"include of {included.file}", included.variables, template=False)
            inside = _inside_include(scope, layer)
            self.nodes(nodes, list(everyone or members), inside)

    def _directives(self, results: Sequence[TaskOutcome], scope: Scope) -> None:
        asked = [(one, what) for one in results for what in one.directives]
        for one, directive in asked:
            if isinstance(directive, MarkMaintenance):
                if not one.recalled:
                    self.parts.emit(MaintenanceMark(on=directive.on, host=one.host))
                if not directive.on:
                    self.undo.seal()
            elif isinstance(directive, Meta):
                self._meta(one.host, directive.what)
        if any(isinstance(what, Meta) and what.what == "flush_handlers" for _, what in asked):
            self.flush(Scope(scope.around[:1]))

    def _meta(self, host: str, what: str) -> None:
        batch = self.batch
        match what:
            case "end_host":
                batch.ended.add(host)
            case "end_play" | "end_batch":
                batch.ended.update(batch.hosts)
            case "clear_facts":
                batch.states[host].facts.clear()
            case "clear_host_errors":
                batch.clear_errors()
            case _:
                return

    def _limits(
        self, task: Task, results: Sequence[TaskOutcome], scope: Scope, *, once: bool
    ) -> None:
        """Apply `any_errors_fatal` (which `run_once` implies) and `max_fail_percentage`."""
        lost = [one.host for one in results if one.host in self.batch.lost]
        if not lost:
            return
        variables = self.parts.store.of_task(lost[0], scope, self.batch.play)
        if once or flag(self.parts.templar.render(scope.pick("any_errors_fatal"), variables)):
            why = f"stopped because `{task_name(task)}` failed on {', '.join(lost)}"
            self.batch.fail_others(task_name(task), why, beyond_rescue=once)
        if self.batch.beyond_limit():
            self.batch.over = True

    def _chosen(self, task: Task, scope: Scope) -> bool:
        if not self.started:
            self.started = self.choice.start_at_task in {task_name(task), task.path}
        if not self.started and "always" not in scope.tags:
            return False
        return scope.handler or selected(scope.tags, self.choice.tags, self.choice.skip_tags)

    def _named(self, task: Task, scope: Scope, host: str) -> Task:
        """The task with its name evaluated; as written where that cannot be done."""
        if not isinstance(task.name, str) or "{{" not in task.name:
            return task
        variables = self.parts.store.of_task(host, scope, self.batch.play)
        try:
            return replace(task, name=str(self.parts.templar.render(task.name, variables)))
        except ActionFailed:
            return task

    def _enter_phase(self, node: Common) -> None:
        if node.phase and node.phase != self.phase:
            self.phase = node.phase
            self.parts.emit(PhaseStarted(phase=node.phase))


def _inside_include(scope: Scope, layer: Layer) -> Scope:
    """The scope of included tasks: of the including task only its variables come along."""
    task = scope.around[-1]
    own = [Layer(f"vars of include {task.name or ''}", task.vars, template=True)]
    extra = (*scope.extra, *(own if task.vars else ()), layer)
    return replace(scope, around=scope.around[:-1], extra=extra)
