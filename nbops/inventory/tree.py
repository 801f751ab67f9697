"""From the YAML of an inventory to its groups and hosts, every mistake told at once."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Any

from nbops.base.errors import Place, Problem
from nbops.base.yamlpos import YamlMap, YamlSeq, did_you_mean
from nbops.inventory.model import ALL, UNGROUPED
from nbops.inventory.ranges import MAX_HOSTS, expand

# Variables that say how a host is reached, as Ansible names them.
_CONNECTING = frozenset(
    """
    ansible_become ansible_become_method ansible_become_pass ansible_become_password
    ansible_become_user ansible_connection ansible_group_priority ansible_host
    ansible_password ansible_port ansible_private_key_file ansible_python_interpreter
    ansible_ssh_args ansible_ssh_common_args ansible_ssh_extra_args ansible_ssh_host
    ansible_ssh_pass ansible_ssh_password ansible_ssh_port ansible_ssh_private_key
    ansible_ssh_private_key_file ansible_ssh_user ansible_timeout ansible_user
    """.split()  # noqa: SIM905 - one word a line would take a page
)

SECTIONS = ("hosts", "vars", "children")
_GROUP_NAME = re.compile(r"\w[\w.-]*")
PRIORITY = "ansible_group_priority"
NAME_HINT = (
    "a name is made of letters, digits, `.`, `-` and `_`; a range is written node[1:3], "
    "and a port behind a colon, node1:2222"
)


@dataclass
class GroupDraft:
    """A group while the inventory is read; it may be written in several places."""

    name: str
    place: Place | None = None
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, Place | None] = field(default_factory=dict)
    vars: YamlMap = field(default_factory=YamlMap)
    priority: int = 1


@dataclass
class HostDraft:
    """A host while the inventory is read."""

    name: str
    place: Place | None
    vars: YamlMap = field(default_factory=YamlMap)


class Tree:
    """The groups and hosts of one document, in the order in which Ansible meets them."""

    def __init__(self) -> None:
        self.groups: dict[str, GroupDraft] = {}
        self.hosts: dict[str, HostDraft] = {}
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._group(ALL, None).children[UNGROUPED] = None
        self._group(UNGROUPED, None)

    def read(self, data: YamlMap) -> None:
        """Take in the top level of an inventory."""
        for name, body in data.items():
            place = data.key_places.get(name)
            if name in SECTIONS:
                self._problem(
                    f"`{name}` stands at the top, where groups are named",
                    place,
                    "write `all:` above it and indent it",
                )
                continue
            self._read_group(name, body, place)
        self._join()

    def _read_group(self, name: Any, body: Any, place: Place | None) -> bool:
        if not isinstance(name, str):
            self._problem(
                f"the name of a group must be text, not {_kind(name)}",
                place,
                f'put quotes around it: "{name}"',
            )
            return False
        if not _GROUP_NAME.fullmatch(name):
            self._problem(
                f"`{name}` cannot be the name of a group",
                place,
                "letters, digits, `_`, `-` and `.` only: patterns use the other signs",
            )
            return False
        group = self._group(name, place)
        if body is None:
            return True
        if not isinstance(body, YamlMap):
            self._problem(
                f"group `{name}` holds {_kind(body)}",
                place,
                "it takes `hosts:`, `vars:` and `children:`",
            )
            return True
        for key, value in body.items():
            self._read_section(
                group, key, value, body.key_places.get(key), body.value_places.get(key)
            )
        return True

    def _read_section(
        self,
        group: GroupDraft,
        key: Any,
        value: Any,
        place: Place | None,
        value_place: Place | None,
    ) -> None:
        if key not in SECTIONS:
            self._problem(
                f"unknown key `{key}` in group `{group.name}`",
                place,
                did_you_mean(str(key), SECTIONS)
                or "a group takes `hosts:`, `vars:` and `children:`; variables go under `vars:`",
            )
            return
        if isinstance(value, str) and key != "vars":
            single = YamlMap(value_place)
            single.put(value, None, value_place, value_place)
            value = single
        if value is None:
            return
        if not isinstance(value, YamlMap):
            self._problem(
                f"`{key}:` of group `{group.name}` must be a mapping, not {_kind(value)}",
                value_place,
                _list_hint(key, value),
            )
        elif key == "vars":
            self._read_vars(value, group.vars, group)
        elif key == "children":
            for name, body in value.items():
                if self._read_group(name, body, value.key_places.get(name)):
                    group.children.setdefault(name, value.key_places.get(name))
        else:
            for name, body in value.items():
                self._read_host(group, name, body, value.key_places.get(name))

    def _read_host(self, group: GroupDraft, text: Any, body: Any, place: Place | None) -> None:
        if not isinstance(text, str):
            self._problem(
                f"the name of a host must be text, not {_kind(text)}",
                place,
                f'put quotes around it: "{text}"',
            )
            return
        try:
            names, port = expand(text)
        except ValueError as error:
            self._problem(str(error), place, NAME_HINT)
            return
        if body is not None and not isinstance(body, YamlMap):
            self._problem(
                f"host `{text}` holds {_kind(body)}",
                place,
                "it takes its variables as a mapping, such as `ansible_host: 10.0.0.1`",
            )
            body = None
        for name in names:
            if len(self.hosts) >= MAX_HOSTS:
                self._problem(f"more than {MAX_HOSTS} hosts", place)
                return
            host = self.hosts.get(name)
            if host is None:
                host = self.hosts[name] = HostDraft(name, place)
                if port is not None:
                    host.vars.put("ansible_port", port, place, place)
            group.hosts.setdefault(name)
            if body is not None:
                self._read_vars(body, host.vars, None, told=name != names[0])

    def _read_vars(
        self, source: YamlMap, into: YamlMap, group: GroupDraft | None, *, told: bool = False
    ) -> None:
        if not told:
            problems, warnings = check_variable_names(source)
            self.problems += problems
            self.warnings += warnings
        for key, value in source.items():
            place = source.value_places.get(key)
            if key == PRIORITY and group is not None:
                self._set_priority(group, value, place)
                continue
            into.put(key, value, source.key_places.get(key), place)

    def _set_priority(self, group: GroupDraft, value: Any, place: Place | None) -> None:
        try:
            group.priority = int(value)
        except (TypeError, ValueError):
            self._problem(
                f"`{PRIORITY}` must be a whole number, not {value!r}",
                place,
                "the group with the higher one wins; 1 when nothing is said",
            )

    def _join(self) -> None:
        """What holds for every inventory: all groups below `all`, hosts without one collected."""
        with_parent = {child for group in self.groups.values() for child in group.children}
        for name in self.groups:
            if name != ALL and name not in with_parent:
                self.groups[ALL].children.setdefault(name)
        grouped = {
            host
            for group in self.groups.values()
            if group.name not in {ALL, UNGROUPED}
            for host in group.hosts
        }
        loose = self.groups[UNGROUPED].hosts
        for name in [name for name in loose if name in grouped]:
            del loose[name]
        for name in self.hosts:
            if name not in grouped:
                loose.setdefault(name)
        for name in self.groups:
            if name in self.hosts:
                self.warnings.append(
                    Problem(
                        f"`{name}` is the name of a group and of a host",
                        self.hosts[name].place,
                        "a pattern then means the host: rename one of them",
                    )
                )

    def _group(self, name: str, place: Place | None) -> GroupDraft:
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = GroupDraft(name, place)
        elif group.place is None:
            group.place = place
        return group

    def _problem(self, message: str, place: Place | None, hint: str | None = None) -> None:
        self.problems.append(Problem(message, place, hint))


def check_variable_names(source: YamlMap) -> tuple[list[Problem], list[Problem]]:
    """The problems and the warnings about the names of variables."""
    problems, warnings = [], []
    for key in source:
        place = source.key_places.get(key)
        if not isinstance(key, str):
            problems.append(
                Problem(
                    f"the name of a variable must be text, not {_kind(key)}",
                    place,
                    f'put quotes around it: "{key}"',
                )
            )
        elif like := _misspelt(key):
            warnings.append(
                Problem(f"nbops and Ansible know no `{key}`", place, f"did you mean `{like}`?")
            )
        elif not key.isidentifier():
            warnings.append(
                Problem(
                    f"`{key}` is not a name that an expression could use",
                    place,
                    "letters, digits and `_` only",
                )
            )
    return problems, warnings


def _misspelt(name: str) -> str | None:
    """The variable of a connection that a name was probably meant to be."""
    if not name.startswith("ansib") or name in _CONNECTING:
        return None
    return next(iter(difflib.get_close_matches(name, _CONNECTING, n=1, cutoff=0.9)), None)


def find_cycle(groups: dict[str, GroupDraft]) -> Problem | None:
    """A group that is below itself, with the way round; None when there is no such group."""
    done: set[str] = set()
    for start in list(groups):
        path = [start]
        trail = [iter(groups[start].children)]
        while trail:
            child = next(trail[-1], None)
            if child is None:
                trail.pop()
                done.add(path.pop())
            elif child in path:
                way = " > ".join([*path[path.index(child) :], child])
                return Problem(
                    f"group `{child}` is below itself: {way}",
                    groups[path[-1]].children[child] or groups[path[-1]].place,
                    "take one of these out of the `children:` of the one before it",
                )
            elif child not in done:
                path.append(child)
                trail.append(iter(groups[child].children))
    return None


def depths(groups: dict[str, GroupDraft]) -> dict[str, int]:
    """The longest way from `all` down to each group. The groups must be free of cycles."""
    depth = dict.fromkeys(groups, 0)
    parents_left = dict.fromkeys(groups, 0)
    for group in groups.values():
        for child in group.children:
            parents_left[child] += 1
    ready = [name for name, left in parents_left.items() if not left]
    while ready:
        name = ready.pop()
        for child in groups[name].children:
            depth[child] = max(depth[child], depth[name] + 1)
            parents_left[child] -= 1
            if not parents_left[child]:
                ready.append(child)
    return depth


_KINDS: tuple[tuple[type, str], ...] = (
    (YamlSeq, "a list"),
    (YamlMap, "a mapping"),
    (bool, "a truth value"),
    (int, "a number"),
    (float, "a number"),
)


def _kind(value: Any) -> str:
    """What a value is, in words for the user."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return next((words for kind, words in _KINDS if isinstance(value, kind)), type(value).__name__)


def _list_hint(key: str, value: Any) -> str | None:
    if isinstance(value, YamlSeq) and value and isinstance(value[0], str) and key != "vars":
        return f"write each name as a key, with a colon behind it: `{value[0]}:`"
    if key == "vars":
        return "write `NAME: VALUE` lines under it"
    return None
