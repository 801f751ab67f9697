"""The variables of a task on a host, in Ansible's order of precedence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbops.engine.hosts import Hosts
from nbops.engine.scope import Scope
from nbops.runbook.expr import Layer, Templar, Variables
from nbops.runbook.values import OMIT


@dataclass(frozen=True, kw_only=True)
class World:
    """What variables there are before the first task: read from files, nothing evaluated.

    `inventory` maps a host to its merged variables; `settings` to what the parts above add
    for it (the effective `nocobase`), as data; `magic` are names that are equal everywhere.
    """

    inventory: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, Sequence[str]]
    group_names: Mapping[str, Sequence[str]]
    extra: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    magic: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class PlayVariables:
    """The variables of a play while it runs; `magic` holds the lists of its hosts.

    `of_host` gives what files add whose names need the variables of a host.
    """

    layers: list[Layer] = field(default_factory=list)
    magic: dict[str, Any] = field(default_factory=dict)
    of_host: Callable[[Variables], list[Layer]] | None = None


class VariableStore:
    """Puts the layers of variables together; cheap enough to do for every task and host."""

    def __init__(self, world: World, hosts: Hosts, templar: Templar) -> None:
        self._world = world
        self._hosts = hosts
        self._templar = templar
        self._hostvars = HostVars(self)

    def known(self) -> list[str]:
        """The hosts of the inventory, in its order."""
        return list(self._world.inventory)

    def of_task(
        self, host: str, scope: Scope, play: PlayVariables, *task_layers: Layer
    ) -> Variables:
        """All variables for a task on a host; `task_layers` (the loop's item) win over all."""
        state = self._hosts[host]
        return Variables(
            [
                *self._of_inventory(host),
                *play.layers,
                *self._of_files(host, play),
                *scope.inner_layers(),
                Layer("registered values", state.set, template=False),
                *scope.given,
                Layer("extra variables", self._world.extra, template=True),
                Layer("magic variables", self._magic(host, play), template=False),
                *task_layers,
            ],
            self._templar,
        )

    def of_play(self, play: PlayVariables) -> Variables:
        """The variables that need no host: for names of plays, `hosts:`, `serial:`."""
        return Variables(
            [
                *play.layers,
                Layer("extra variables", self._world.extra, template=True),
                Layer("magic variables", {**self._world.magic, **play.magic}, template=False),
            ],
            self._templar,
        )

    def of_host(self, host: str) -> Variables:
        """What `hostvars` gives of a host."""
        state = self._hosts[host]
        return Variables(
            [
                *self._of_inventory(host),
                Layer("registered values", state.set, template=False),
                Layer("extra variables", self._world.extra, template=True),
                Layer("magic variables", self._magic(host, None), template=False),
            ],
            self._templar,
        )

    def _of_inventory(self, host: str) -> list[Layer]:
        facts = self._hosts[host].facts
        layers = [Layer("inventory", self._world.inventory.get(host, {}), template=True)]
        settings = self._world.settings.get(host)
        if settings:
            layers.append(Layer("settings", settings, template=False))
        if facts:
            named = {f"ansible_{name}": value for name, value in facts.items()}
            layers.append(Layer("facts", named | {"ansible_facts": facts}, template=False))
        return layers

    def _of_files(self, host: str, play: PlayVariables) -> list[Layer]:
        if play.of_host is None:
            return []
        known = [
            *self._of_inventory(host),
            *play.layers,
            Layer("extra variables", self._world.extra, template=True),
            Layer("magic variables", self._magic(host, play), template=False),
        ]
        return play.of_host(Variables(known, self._templar))

    def _magic(self, host: str, play: PlayVariables | None) -> Mapping[str, Any]:
        world = self._world
        return {
            "ansible_facts": self._hosts[host].facts,
            "inventory_hostname": host,
            "inventory_hostname_short": host.split(".", maxsplit=1)[0],
            "group_names": list(world.group_names.get(host, ())),
            "groups": world.groups,
            "hostvars": self._hostvars,
            "omit": OMIT,
            **world.magic,
            **(play.magic if play else {}),
        }


class HostVars(Mapping[str, Variables]):
    """Ansible's `hostvars`: the variables of every host of the inventory, made when asked."""

    def __init__(self, store: VariableStore) -> None:
        self._store = store

    def __getitem__(self, host: str) -> Variables:
        if host not in self._store.known():
            raise KeyError(host)
        return self._store.of_host(host)

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.known())

    def __len__(self) -> int:
        return len(self._store.known())

    def __repr__(self) -> str:
        return f"hostvars of {len(self)} hosts"
