"""One play: its hosts in batches, its variables, its sections, its handlers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import Any, Protocol

from nbops.base.errors import ActionFailed, UsageError
from nbops.base.events import PhaseStarted, PlayStarted
from nbops.engine.batch import Batch, batches
from nbops.engine.call import Parts, task_name
from nbops.engine.cursor import Cursor, Part
from nbops.engine.handlers import Handlers
from nbops.engine.hosts import Hosts
from nbops.engine.program import Item, Step, build, program_of, steps_of
from nbops.engine.scope import Scope, flag
from nbops.engine.strategy import Choice, Linear, Loader, Undo
from nbops.engine.variables import PlayVariables
from nbops.engine.varsfiles import read_vars_files
from nbops.runbook.expr import Layer
from nbops.runbook.model import Play, Task


class Match(Protocol):
    """Finds the hosts of a pattern, in order, within the user's limit."""

    def __call__(self, pattern: str) -> Sequence[str]: ...


@dataclass
class Player:
    """Plays one play after the other; remembers between them what outlives a play."""

    parts: Parts
    hosts: Hosts
    match: Match
    load: Loader
    undo: Undo
    workers: ThreadPoolExecutor
    choice: Choice = field(default_factory=Choice)
    phase: str = ""
    started: bool = True
    over: str = ""
    lost: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    unreachable: set[str] = field(default_factory=set)
    _given_up: set[str] = field(default_factory=set)

    def play(self, play: Play) -> bool:
        """Play it. Gives False when the run is not to go on to the next play: as in Ansible,
        when no host of a batch is left. `lost` has the hosts because of which the run failed;
        `failed` also those that were rescued from another one's failure: they take no part in
        later plays.

        Raises UsageError when the play's own keywords cannot be evaluated.
        """
        variables = PlayVariables()
        if play.vars:
            variables.layers.append(Layer("vars of the play", play.vars, template=True))
        read_vars_files(play, variables, self.parts.store, self.parts.templar)
        hosts = self._hosts_of(play, variables)
        variables.magic |= {
            "ansible_play_name": self._name(play, variables),
            "ansible_play_hosts_all": hosts,
        }
        self.unreachable |= self._given_up
        before = len(self.failed) + len(self.unreachable)
        for members in self._batches(play, ordered(hosts, play.order), variables):
            batch = self._go_through(play, members, variables)
            if batch.over:
                self.over = batch.over
                return False
            if batch.ended:
                break
            lost = len(self.failed) + len(self.unreachable)
            if batch.broken or lost - before == len(batch.hosts):
                return False
            before = lost
            self._given_up |= self.unreachable
        return True

    def hosts_of(self, play: Play) -> list[str]:
        """The hosts that a play names, for `--list-hosts`."""
        variables = PlayVariables()
        if play.vars:
            variables.layers.append(Layer("vars of the play", play.vars, template=True))
        return ordered(self._hosts_of(play, variables), play.order)

    def _render(self, value: Any, play: Play, keyword: str, variables: PlayVariables) -> Any:
        values = self.parts.store.of_play(variables)
        return self.parts.templar.render(value, values, play.places.get(keyword, play.place))

    def _name(self, play: Play, variables: PlayVariables) -> str:
        if play.name is not None:
            return str(self._render(play.name, play, "name", variables))
        return ",".join(play.hosts) if isinstance(play.hosts, list) else str(play.hosts)

    def _hosts_of(self, play: Play, variables: PlayVariables) -> list[str]:
        pattern = self._render(play.hosts, play, "hosts", variables)
        parts = pattern if isinstance(pattern, list) else [pattern]
        return list(self.match(",".join(str(part) for part in parts)))

    def _batches(
        self, play: Play, hosts: Sequence[str], variables: PlayVariables
    ) -> list[tuple[str, ...]]:
        try:
            return batches(hosts, self._render(play.serial, play, "serial", variables))
        except ValueError as error:
            raise UsageError(str(error), place=play.places.get("serial", play.place)) from None

    def _batch(self, play: Play, members: tuple[str, ...], variables: PlayVariables) -> Batch:
        limit = self._render(play.max_fail_percentage, play, "max_fail_percentage", variables)
        batch = Batch(
            hosts=members,
            states=self.hosts,
            play=variables,
            max_fail_percentage=None if limit is None else float(limit),
            unreachable=self.unreachable,
        )
        variables.magic |= {
            "ansible_play_hosts": _Remaining(variables.magic["ansible_play_hosts_all"], batch),
            "ansible_play_batch": _Remaining(members, batch),
            "play_hosts": _Remaining(members, batch),
        }
        return batch

    def _go_through(self, play: Play, members: tuple[str, ...], variables: PlayVariables) -> Batch:
        batch = self._batch(play, members, variables)
        handling = replace(Scope((play,)), handler=True)
        steps = tuple(steps_of(build(play.handlers, handling, lambda _: True)))
        linear = Linear(
            parts=self.parts,
            batch=batch,
            handlers=Handlers(steps, self._handler_names(steps, batch)),
            load=self.load,
            undo=self.undo,
            workers=self.workers,
            choice=self.choice,
            phase=self.phase,
        )
        forced = flag(self._render(play.force_handlers, play, "force_handlers", variables))
        items = program_of(play, linear.chosen, force_handlers=forced)
        facts = self._facts(play, linear, variables)
        self._begin(batch, items, facts)
        live = tuple(host for host in batch.left if not batch.cursors[host].failed)
        if live:
            self.parts.emit(PlayStarted(play=str(play.name or play.hosts), hosts=live))
        if live and play.phase and play.phase != linear.phase:
            linear.phase = play.phase
            self.parts.emit(PhaseStarted(phase=play.phase))
        linear.run(items, facts)
        self.phase = linear.phase
        others = self.failed - set(members)
        self.lost = (
            others | batch.stuck | self.unreachable | (batch.failed if batch.broken else set())
        )
        self.failed = others | batch.stuck | batch.failed
        return batch

    def _begin(self, batch: Batch, items: Sequence[Item], facts: Step | None) -> None:
        """Every host at its start: those that are lost have none, `--start-at-task` moves it."""
        batch.begin(items, facts)
        if not self.started:
            begun = [start_at(batch.cursors[one], self._is_start) for one in batch.hosts]
            self.started = any(begun)
        for host in sorted(self.failed):
            batch.fail(host)
        batch.removed += sorted(self.unreachable)

    def _is_start(self, step: Step) -> bool:
        wanted = str(self.choice.start_at_task)
        name = task_name(step.task)
        return wanted in {name, step.task.path} or fnmatch(name, wanted)

    def _facts(self, play: Play, linear: Linear, variables: PlayVariables) -> Step | None:
        """Facts, as the play's first task, unless it declines them."""
        wanted = self._render(play.gather_facts, play, "gather_facts", variables)
        if not (wanted is None or flag(wanted)):
            return None
        task = Task(
            path=f"{play.path}.facts",
            name="Gathering Facts",
            action="setup",
            folder=play.folder,
            place=play.place,
            when=play.import_when,
            run_once=False,
            tags=() if play.tags else ("always",),
        )
        scope = Scope((play,)).enter(task)
        return Step(task, scope) if linear.chosen(scope) else None

    def _handler_names(self, steps: Sequence[Step], batch: Batch) -> Mapping[str, str]:
        names: dict[str, str] = {}
        for step in steps:
            task = step.task
            if task.name is None:
                continue
            variables = self.parts.store.of_task(batch.hosts[0], step.scope, batch.play)
            try:
                names[task.path] = str(self.parts.templar.render(task.name, variables))
            except ActionFailed:
                names[task.path] = str(task.name)
        return names


def ordered(hosts: Sequence[str], order: str | None) -> list[str]:
    """Hosts in the order that a play asks for."""
    match order:
        case "reverse_inventory":
            return list(reversed(hosts))
        case "sorted":
            return sorted(hosts)
        case "reverse_sorted":
            return sorted(hosts, reverse=True)
        case "shuffle":
            return random.sample(list(hosts), len(hosts))
    return list(hosts)


def start_at(cursor: Cursor, wanted: Callable[[Step], bool]) -> bool:
    """Move a host to the first step that is wanted, facts first; to its end when none is."""
    facts, cursor.facts = cursor.facts, None
    while True:
        ahead = cursor.copy()
        step = ahead.next(frozenset(), due=False)
        if step is None or wanted(step):
            break
        cursor.root = ahead.root
    if step is None:
        cursor.root.part = Part.DONE
        return False
    cursor.facts = facts
    return True


class _Remaining(Sequence[str]):
    """The hosts among some that are still in the play, at the moment when it is read."""

    def __init__(self, hosts: Sequence[str], batch: Batch) -> None:
        self._hosts = hosts
        self._batch = batch

    def _now(self) -> list[str]:
        return [host for host in self._hosts if host not in self._batch.removed]

    def __getitem__(self, index: Any) -> Any:
        return self._now()[index]

    def __len__(self) -> int:
        return len(self._now())
