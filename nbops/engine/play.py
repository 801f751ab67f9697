"""One play: its hosts in batches, its variables, its sections, its handlers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from nbops.base.errors import ActionFailed, UsageError
from nbops.base.events import PhaseStarted, PlayStarted
from nbops.base.yamlpos import load_file
from nbops.engine.batch import Batch, batches
from nbops.engine.call import Parts
from nbops.engine.handlers import Handlers, tasks_of
from nbops.engine.hosts import Hosts
from nbops.engine.scope import Scope, as_mapping, flag
from nbops.engine.strategy import Choice, Linear, Loader, Undo
from nbops.engine.variables import PlayVariables
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
    lost: set[str] = field(default_factory=set)

    def play(self, play: Play) -> bool:
        """Play it. Gives False when the run is not to go on to the next play: as in Ansible,
        when no host of the batch is left. `lost` has all hosts that failed so far, and
        those that a later play had to do without.

        Raises UsageError when the play's own keywords cannot be evaluated.
        """
        variables = PlayVariables(magic={"ansible_play_name": str(play.name or "")})
        if play.vars:
            variables.layers.append(Layer("vars of the play", play.vars, template=True))
        named = self._hosts_of(play, variables)
        hosts = [host for host in named if not self.hosts[host].gone]
        self.lost.update(host for host in named if self.hosts[host].gone)
        variables.magic["ansible_play_hosts_all"] = hosts
        if not hosts:
            return True
        for members in self._batches(play, hosts, variables):
            batch = self._batch(play, members, variables)
            self._go_through(play, batch)
            if batch.over or len(batch.lost) == len(batch.hosts):
                return False
        return True

    def hosts_of(self, play: Play) -> list[str]:
        """The hosts that a play names, for `--list-hosts`."""
        variables = PlayVariables()
        if play.vars:
            variables.layers.append(Layer("vars of the play", play.vars, template=True))
        return self._hosts_of(play, variables)

    def _hosts_of(self, play: Play, variables: PlayVariables) -> list[str]:
        store, render = self.parts.store, self.parts.templar.render
        pattern = render(play.hosts, store.of_play(variables), play.place)
        parts = pattern if isinstance(pattern, list) else [pattern]
        return list(self.match(",".join(str(part) for part in parts)))

    def _batches(
        self, play: Play, hosts: Sequence[str], variables: PlayVariables
    ) -> list[tuple[str, ...]]:
        values = self.parts.store.of_play(variables)
        try:
            serial = self.parts.templar.render(play.serial, values, play.place)
            return batches(hosts, serial)
        except ValueError as error:
            raise UsageError(str(error), place=play.place) from None

    def _batch(self, play: Play, members: tuple[str, ...], variables: PlayVariables) -> Batch:
        values = self.parts.store.of_play(variables)
        limit = self.parts.templar.render(play.max_fail_percentage, values, play.place)
        batch = Batch(
            hosts=members,
            states=self.hosts,
            play=variables,
            max_fail_percentage=None if limit is None else float(limit),
            earlier=sum(self.hosts[host].gone for host in self.parts.store.known()),
        )
        variables.magic |= {
            "ansible_play_hosts": _LiveHosts(batch),
            "play_hosts": _LiveHosts(batch),
            "ansible_play_batch": list(members),
        }
        return batch

    def _go_through(self, play: Play, batch: Batch) -> None:
        self.parts.emit(PlayStarted(play=str(play.name or play.hosts), hosts=batch.hosts))
        if play.phase and play.phase != self.phase:
            self.phase = play.phase
            self.parts.emit(PhaseStarted(phase=play.phase))
        scope = Scope((play,))
        self._read_vars_files(play, batch)
        handlers = Handlers(play.handlers, self._handler_names(play, scope, batch))
        linear = Linear(
            parts=self.parts,
            batch=batch,
            handlers=handlers,
            load=self.load,
            undo=self.undo,
            workers=self.workers,
            choice=self.choice,
            phase=self.phase,
            started=self.started,
        )
        self._gather(play, linear, scope)
        for section in (play.pre_tasks, play.tasks, play.post_tasks):
            linear.nodes(section, batch.hosts, scope)
            linear.flush(scope)
        if handlers.any_due and flag(play.force_handlers):
            linear.flush(scope, forced=True)
        self.phase, self.started = linear.phase, linear.started
        self.lost |= batch.lost
        for host in batch.lost | batch.marked:
            self.hosts[host].gone = True

    def _gather(self, play: Play, linear: Linear, scope: Scope) -> None:
        """Facts, as the play's first task, unless it declines them."""
        values = self.parts.store.of_play(linear.batch.play)
        wanted = self.parts.templar.render(play.gather_facts, values, play.place)
        if wanted is None or flag(wanted):
            task = Task(
                path=f"{play.path}.facts",
                name="Gathering Facts",
                action="setup",
                folder=play.folder,
                place=play.place,
                tags=("always",),
            )
            linear.nodes((task,), linear.batch.hosts, scope)

    def _read_vars_files(self, play: Play, batch: Batch) -> None:
        for written in play.vars_files:
            values = self.parts.store.of_play(batch.play)
            named = self.parts.templar.render(written, values, play.place)
            names = named if isinstance(named, list) else [named]
            path = self.parts.templar.within(play.folder).find(str(names[0]), "vars")
            data: Any = load_file(path) or {}
            layer = Layer(f"vars_files {names[0]}", as_mapping(data), template=True)
            batch.play.layers.append(layer)

    def _handler_names(self, play: Play, scope: Scope, batch: Batch) -> Mapping[str, str]:
        names: dict[str, str] = {}
        for task in tasks_of(play.handlers):
            if task.name is None:
                continue
            variables = self.parts.store.of_task(batch.hosts[0], scope.enter(task), batch.play)
            try:
                names[task.path] = str(self.parts.templar.render(task.name, variables))
            except ActionFailed:
                names[task.path] = str(task.name)
        return names


class _LiveHosts(Sequence[str]):
    """The hosts of a batch that are still live, at the moment when it is read."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __getitem__(self, index: Any) -> Any:
        return self._batch.live(self._batch.hosts)[index]

    def __len__(self) -> int:
        return len(self._batch.live(self._batch.hosts))
