"""The linear strategy: each task on all hosts of the batch, then the next one.

Every host has a cursor of its own; a task runs on all hosts whose next one it is. The hosts
that go another way (`rescue`, handlers, an include of their own) wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Protocol

from nbops.actions.api import EndRun, Meta
from nbops.base.errors import ActionFailed
from nbops.base.events import PhaseStarted, Status, StepEnded, TaskStarted
from nbops.engine.batch import Batch
from nbops.engine.call import Call, Parts, one_of, task_name
from nbops.engine.cursor import Cursor
from nbops.engine.handlers import Handlers
from nbops.engine.outcome import Included, TaskOutcome, failed_task
from nbops.engine.program import Body, Item, Step, build, steps_of
from nbops.engine.scope import Scope, flag, selected
from nbops.engine.task import run_task
from nbops.runbook.expr import Layer
from nbops.runbook.model import Block, Common, Node, Task

_FAREWELL = 5.0  # seconds given to the hosts of a wave when the user ends the run at once
_META_OF_EACH = frozenset({"noop", "reset_connection", "end_host", "flush_handlers"})


class Loader(Protocol):
    """Reads the tasks of an include while the run goes."""

    def __call__(self, file: str, task: Task) -> tuple[Node, ...]: ...


class Undo(Protocol):
    """Takes note of what would undo a step, before the step runs."""

    def note(self, node: Task | Block, scope: Scope, hosts: Sequence[str], batch: Batch) -> None:
        """`node.rollback` is to run for these hosts when the run fails; on disk on return."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the user wants to run: tags, where to start."""

    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    start_at_task: str | None = None


@dataclass
class Linear:
    """Walks a play with the hosts of a batch."""

    parts: Parts
    batch: Batch
    handlers: Handlers
    load: Loader
    undo: Undo
    workers: ThreadPoolExecutor
    choice: Choice = field(default_factory=Choice)
    phase: str = ""
    one_phase: bool = False  # the way back is one part of the run, whatever its tasks say
    passed: Mapping[str, int] = field(default_factory=dict)  # what passes of a host are counted on
    _passes: dict[str, int] = field(default_factory=dict)
    _entered: dict[Body, set[str]] = field(default_factory=dict)

    def nodes(self, nodes: Sequence[Node], hosts: Sequence[str], scope: Scope) -> None:
        """Run nodes one after the other on `hosts`; the batch tells who failed."""
        self.batch.hosts = tuple(hosts)
        items = build(nodes, scope, self.chosen)
        self.batch.begin(items)
        self.run(items)

    def chosen(self, scope: Scope) -> bool:
        """Whether the user wants what stands in this scope, by its tags."""
        return scope.handler or selected(scope.tags, self.choice.tags, self.choice.skip_tags)

    def run(self, items: Sequence[Item], facts: Step | None = None) -> None:
        """Take every host of the batch through these steps, as its cursor leads it."""
        steps = [*([facts] if facts else []), *steps_of(items)]
        at = 0
        while True:
            left = self.batch.left
            step, at, hosts = self._next(steps, at, left)
            if step is None:
                break
            if _meta_of(step.task) == "flush_handlers":
                steps[at:at] = self.handlers.steps
            included = self._step(step, hosts, left)
            steps[at:at] = steps_of(included)
            if self.batch.broken and len(self.batch.failed) >= len(left):
                break
        for host in self.batch.left:
            self._advance(self.batch.cursors[host], host)

    def _next(
        self, steps: Sequence[Step], at: int, left: Sequence[str]
    ) -> tuple[Step | None, int, list[str]]:
        """The next step in their order that is some host's next, where it stands, and those
        hosts, who have gone on to it."""
        ahead = {}
        for host in left:
            cursor = self.batch.cursors[host].copy()
            step = self._advance(cursor, host)
            if step is not None:
                ahead[host] = cursor, step
        wanted = {step for _, step in ahead.values()}
        for number in (*range(at, len(steps)), *range(at)):
            if steps[number] in wanted:
                hosts = [host for host in ahead if ahead[host][1] is steps[number]]
                for host in hosts:
                    self.batch.cursors[host] = ahead[host][0]
                return steps[number], number + 1, hosts
        return None, at, []

    def _step(self, step: Step, hosts: list[str], left: Sequence[str]) -> Sequence[Item]:
        """One step on its hosts, and all that comes of it; gives the steps to be included."""
        scope = step.scope
        self._enter_blocks(hosts)
        self._enter_phase(step.task)
        task = self._named(step.task, scope, hosts[0])
        meta = _meta_of(task)
        calls = self._calls(task, hosts, scope)
        shared = meta is None and self._flag("run_once", calls[0])
        alone = self.parts.actions.action(task.action).spec.once
        once = shared or (meta not in _META_OF_EACH if meta else alone)
        calls = [one_of(calls, in_parts=self.batch.is_part)] if once else calls
        acting = [call.host for call in calls]
        self.parts.past.come_to(task.path, hosts, calls[0].pass_number)
        self._note(task, scope, [call.host for call in calls if not call.passed_over])
        if meta is None and any(call.recalled() is None and not call.passed_over for call in calls):
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
        if scope.handler:
            self.handlers.done(step, self.batch.hosts if once else acting)
        for outcome in results:
            self._take(outcome, task, scope, shared=shared)
        included = self._includes(step, task, results)
        self._directives(results)
        self._limits(results, calls[0], left, once=once)
        return included

    def _flag(self, keyword: str, call: Call) -> bool:
        variables = self.parts.store.of_task(call.host, call.scope, call.play)
        return flag(call.keyword(keyword, variables))

    def _calls(self, task: Task, hosts: Sequence[str], scope: Scope) -> list[Call]:
        self._passes[task.path] = self._passes.get(task.path, 0) + 1
        return [
            Call(
                task=task,
                scope=scope,
                host=host,
                hosts=self.batch.hosts,
                play=self.batch.play,
                phase=self.phase,
                pass_number=self.passed.get(host, 0) + self._passes[task.path],
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

    def _take(self, outcome: TaskOutcome, task: Task, scope: Scope, *, shared: bool) -> None:
        """Count an outcome, and keep what it gives: registered values, facts, notices."""
        host, batch = outcome.host, self.batch
        cursor = batch.cursors[host]
        rescuing = cursor.rescuing
        if outcome.status is Status.UNREACHABLE and not outcome.ignored:
            rescuing = self._take_unreachable(host)
        elif outcome.failed and not outcome.ignored:
            for one in batch.left if shared else [host]:
                batch.fail(one)
            if cursor.failed and self._advance(cursor.copy(), host) is None:
                batch.failed.add(host)
        elif outcome.changed:
            self._notify(outcome, task, scope)
        lost = outcome.status in {Status.FAILED, Status.UNREACHABLE} and not outcome.ignored
        if lost and rescuing:
            batch.rescued(host)
            batch.states[host].set["ansible_failed_task"] = failed_task(task)
            batch.states[host].set["ansible_failed_result"] = outcome.registered
        elif lost:
            batch.states[host].failure = task_name(task), str(outcome.registered.get("msg") or "")
        if task.action != "meta" or lost:
            batch.states[host].count(*outcome.counts(rescued=rescuing))
        self._keep(outcome, task, batch.left if shared else [host])

    def _take_unreachable(self, host: str) -> bool:
        """Leave a host alone, unless a block around asks for its rescue; gives whether."""
        for frame in reversed(self.batch.cursors[host].within):
            node = frame.body.node
            if node is not None and node.rescue_unreachable and frame.part.value == "block":
                self.batch.cursors[host].fail_towards(frame.body)
                self.batch.removed.append(host)
                return True
        self.batch.lose(host)
        return False

    def _advance(self, cursor: Cursor, host: str) -> Step | None:
        return cursor.next(self.handlers.called(host), due=self.handlers.due(host))

    def _keep(self, outcome: TaskOutcome, task: Task, hosts: Sequence[str]) -> None:
        states = self.batch.states
        for host in hosts:
            if task.register:
                states[host].set[task.register] = outcome.registered
            states[host].set.update(outcome.facts)
            states[host].facts.update(outcome.host_facts)
        for host, facts in outcome.delegated.items():
            states[host].set.update(facts)
        for host, facts in outcome.delegated_facts.items():
            states[host].facts.update(facts)

    def _notify(self, outcome: TaskOutcome, task: Task, scope: Scope) -> None:
        """Pass on the notices of what changed; in a loop those of every item that was done."""
        if not scope.notify:
            return
        plain = self.parts.store.of_task(outcome.host, scope, self.batch.play)
        now = self.batch.cursors[outcome.host].handlers is not None
        for item in [outcome.registered] if task.loop is None else outcome.registered["results"]:
            if item.get("skipped"):
                continue
            control = task.loop_control
            names = [str(one) for one in (control.loop_var, control.index_var) if one in item]
            layer = Layer("loop", {name: item[name] for name in names}, template=False)
            variables = plain.with_layer(layer)
            for written in scope.notify:
                found = self.parts.templar.render(written, variables, scope.place("notify"))
                for name in found if isinstance(found, list) else [found]:
                    self.handlers.notify(str(name), outcome.host, now=now)

    def _includes(self, step: Step, task: Task, results: Sequence[TaskOutcome]) -> Sequence[Item]:
        """Put included steps before the hosts that asked for them: those that include the
        same file with the same values go through it together."""
        groups: list[tuple[Included, list[str]]] = []
        for outcome in results:
            at = 0
            for included in outcome.includes:
                while at < len(groups) and (
                    groups[at][0] != included or outcome.host in groups[at][1]
                ):
                    at += 1
                if at == len(groups):
                    groups.append((included, []))
                groups[at][1].append(outcome.host)
                at = 0
        found: list[Item] = []
        inserted: dict[str, list[Item]] = {}
        for included, members in groups:
            try:
                nodes = self.load(included.file, task)
            except ActionFailed as error:
                self._lose_include(task, members, str(error))
                continue
            items = build(
                nodes, step.scope.within_include(included.file, included.variables), self.chosen
            )
            found += items
            for host in members:
                self.batch.states[host].count("ok")
                inserted.setdefault(host, []).extend(items)
            if step.scope.handler:
                self.handlers.call(tuple(steps_of(items)), members)
        for host, more in inserted.items():
            self.batch.cursors[host].insert([Body(tuple(more))], tuple(steps_of(more)))
        return found

    def _lose_include(self, task: Task, hosts: Sequence[str], why: str) -> None:
        for host in hosts:
            self.batch.states[host].count("failed")
            self.batch.failed.add(host)
            self.batch.fail(host)
            self.parts.emit(
                StepEnded(
                    step=task.path,
                    task=task_name(task),
                    action=task.action,
                    host=host,
                    status=Status.FAILED,
                    seconds=0.0,
                    message=why,
                    result={"changed": False, "failed": True, "msg": why},
                    phase=self.phase,
                )
            )

    def _directives(self, results: Sequence[TaskOutcome]) -> None:
        for one in results:
            for directive in one.directives:
                if isinstance(directive, EndRun):
                    self.batch.end(self.batch.left)
                    self.batch.ended, self.batch.over = True, directive.why
                elif isinstance(directive, Meta):
                    self._meta(one.host, directive.what)

    def _meta(self, host: str, what: str) -> None:
        batch = self.batch
        match what:
            case "flush_handlers":
                self.handlers.flush(host)
                batch.cursors[host].flush(self.handlers.steps)
            case "end_host":
                batch.end([host])
            case "end_play" | "end_batch":
                batch.end(batch.left)
                batch.ended = batch.ended or what == "end_play"
            case "clear_facts":
                for one in batch.hosts:
                    batch.states[one].facts.clear()
            case "clear_host_errors":
                batch.clear_errors()

    def _limits(
        self, results: Sequence[TaskOutcome], call: Call, left: Sequence[str], *, once: bool
    ) -> None:
        """Apply `any_errors_fatal` (which a task that runs once implies) and
        `max_fail_percentage`: the hosts that did not fail themselves fail with the others."""
        batch = self.batch
        failed = {one.host for one in results if one.failed}
        lost = any(one.failed or one.status is Status.UNREACHABLE for one in results)
        fatal = lost and not call.scope.pick("ignore_errors")
        if fatal and (once or self._flag("any_errors_fatal", call)):
            batch.fail_others(left, failed)
        if batch.beyond_limit:
            batch.fail_others(left, failed)
            batch.broken = True

    def _named(self, task: Task, scope: Scope, host: str) -> Task:
        """The task with its name evaluated; as written where that cannot be done."""
        if not isinstance(task.name, str) or "{{" not in task.name:
            return task
        variables = self.parts.store.of_task(host, scope, self.batch.play)
        try:
            return replace(task, name=str(self.parts.templar.render(task.name, variables)))
        except ActionFailed:
            return task

    def _enter_blocks(self, hosts: Sequence[str]) -> None:
        """Note what blocks would be undone by, and their phases, when hosts come into them."""
        fresh: dict[Body, list[str]] = {}
        for host in hosts:
            for frame in self.batch.cursors[host].within:
                if frame.body.node is not None:
                    known = self._entered.setdefault(frame.body, set())
                    if host not in known:
                        known.add(host)
                        fresh.setdefault(frame.body, []).append(host)
        for body, members in fresh.items():
            if body.node is None or body.scope is None:
                continue
            self._note(body.node, body.scope, self._who_began(body.node, members))
            self._enter_phase(body.node)

    def _note(self, node: Task | Block, scope: Scope, hosts: Sequence[str]) -> None:
        if node.rollback and hosts and not self.parts.check:
            self.undo.note(node, scope, hosts, self.batch)

    def _who_began(self, block: Block, hosts: list[str]) -> list[str]:
        """Of the hosts that come into a block, those for whom it is undone."""
        if not self.parts.led_another_way:
            return hosts
        return [host for host in hosts if (block.path, host) in self.parts.past.noted]

    def _enter_phase(self, node: Common) -> None:
        if node.phase and node.phase != self.phase and not self.one_phase:
            self.phase = node.phase
            self.parts.emit(PhaseStarted(phase=node.phase))


def _meta_of(task: Task) -> str | None:
    """What a `meta` task asks for; None for another task."""
    return str(task.args.get("what")) if task.action == "meta" else None
