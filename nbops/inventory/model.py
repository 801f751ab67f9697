"""An inventory as it was read: hosts, groups, and the variables of each host.

Values are raw: templates in them are evaluated by whoever uses them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbops.base.errors import Place, Problem, UsageError
from nbops.base.yamlpos import YamlMap, did_you_mean
from nbops.inventory.merge import merge_layers

ALL = "all"
UNGROUPED = "ungrouped"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Host:
    """A host: its name, where it is first named, and its own variables by layer.

    `layers` are the inventory's, then those of each `host_vars/`; the later ones win.
    `groups` are the groups that name it directly.
    """

    name: str
    place: Place | None = None
    layers: tuple[YamlMap, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A group: the hosts that it names itself, its children, and its variables.

    `depth` is the longest way down from `all`; deeper groups win over shallower ones, then
    the higher `priority` (`ansible_group_priority`), then the later name. `inline` are the
    variables in the inventory, `files` those of each `group_vars/` folder in turn.
    """

    name: str
    place: Place | None = None
    hosts: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    depth: int = 0
    priority: int = 1
    inline: YamlMap = field(default_factory=YamlMap)
    files: tuple[YamlMap, ...] = ()

    @property
    def rank(self) -> tuple[int, int, str]:
        """What decides between groups: the higher rank wins."""
        return (self.depth, self.priority, self.name)


@dataclass(frozen=True)
class Inventory:
    """What a team wrote down about its hosts, in Ansible's order.

    `warnings` are mistakes that Ansible lets pass and that change nothing here.
    """

    file: Path
    hosts: Mapping[str, Host]
    groups: Mapping[str, Group]
    warnings: tuple[Problem, ...] = ()
    _merged: dict[str, YamlMap] = field(default_factory=dict, repr=False, compare=False)
    _members: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    _above: dict[tuple[str, ...], frozenset[str]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def folder(self) -> Path:
        """Where the inventory lies: paths in it are relative to this."""
        return self.file.parent

    def host(self, name: str) -> Host:
        """The host of this name; `localhost` is there without being named.

        Raises UsageError, with the nearest name, when there is none.
        """
        found = self.hosts.get(name)
        if found is None and name in LOCAL_NAMES:
            own = YamlMap()
            own.put("ansible_connection", "local", None, None)
            found = Host(name, layers=(own,))
        if found is None:
            raise UsageError(f"{self.file}: no host `{name}`", hint=did_you_mean(name, self.hosts))
        return found

    def hosts_of(self, group: str) -> tuple[str, ...]:
        """The hosts of a group and of its children, in Ansible's order; none if it is unknown."""
        known = self._members.get(group)
        if known is None:
            names: dict[str, None] = {}
            for one in self._down(group):
                names.update(dict.fromkeys(self.groups[one].hosts))
            known = self._members[group] = tuple(names)
        return known

    def members(self) -> dict[str, list[str]]:
        """Every group with its hosts: Ansible's magic variable `groups`."""
        return {name: list(self.hosts_of(name)) for name in self.groups}

    def groups_of(self, host: str) -> list[str]:
        """The groups that a host is in, their parents too, by name and without `all`:
        Ansible's magic variable `group_names`."""
        return sorted(self._ancestors(host) - {ALL})

    def vars_of(self, host: str) -> Mapping[str, Any]:
        """The variables of a host after all layers were merged. Read only.

        What comes back is a `YamlMap`, so `place_of` tells where each value stands. The
        order is Ansible's default: `all` and the groups of the inventory, `group_vars/all`,
        the other `group_vars/`, the host in the inventory, `host_vars/`.
        """
        merged = self._merged.get(host)
        if merged is None:
            merged = self._merged[host] = merge_layers(self._layers(host))
        return merged

    def _layers(self, name: str) -> Sequence[YamlMap]:
        host = self.host(name)
        every = self.groups[ALL]
        above = [self.groups[one] for one in self._ancestors(name) if one != ALL]
        above.sort(key=lambda group: group.rank)
        layers = [every.inline, *(group.inline for group in above), *every.files]
        folders = max((len(group.files) for group in above), default=0)
        for folder in range(folders):
            layers += [group.files[folder] for group in above if folder < len(group.files)]
        return [*layers, *host.layers]

    def _ancestors(self, host: str) -> frozenset[str]:
        direct = self.host(host).groups
        known = self._above.get(direct)
        if known is None:
            found = {ALL}
            todo = list(direct)
            while todo:
                name = todo.pop()
                if name not in found:
                    found.add(name)
                    todo += self.groups[name].parents
            known = self._above[direct] = frozenset(found)
        return known

    def _down(self, group: str) -> Sequence[str]:
        """The group and all below it, level by level, each level in the order written."""
        if group not in self.groups:
            return ()
        order = {group: None}
        level = [group]
        while level:
            level = [child for one in level for child in self.groups[one].children]
            level = [child for child in dict.fromkeys(level) if child not in order]
            order.update(dict.fromkeys(level))
        return list(order)


def ungrouped_problems(inventory: Inventory) -> list[Problem]:
    """One problem for each host that is in no group but `all`: it would never be acted on."""
    meant = ", ".join(f"`{name}`" for name in inventory.groups if name not in {ALL, UNGROUPED})
    hint = f"put it under one of the groups {meant}" if meant else "put it into a group"
    return [
        Problem(f"host `{name}` is in no group", inventory.hosts[name].place, hint)
        for name in inventory.hosts_of(UNGROUPED)
    ]
