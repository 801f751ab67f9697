"""Reading an inventory: Ansible's YAML format, with `group_vars/` and `host_vars/` beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbops.base.errors import Place, Problem, UsageError
from nbops.base.yamlpos import YamlMap, load_text, read_file
from nbops.inventory.model import Group, Host, Inventory
from nbops.inventory.tree import Tree, depths, find_cycle
from nbops.inventory.varsfiles import VarsFiles

_CONVERT = "`ansible-inventory -i {file} --list --yaml > inventory.yml` writes it as YAML"
_INI_SECTION = re.compile(r"^\s*\[[\w.:-]+\]\s*(#.*|;.*)?$")
_INI_HOST = re.compile(r"^[\w.\[\]:-]*[\w\]](\s+\w+=\S+)+\s*(#.*)?$")


def load_inventory(path: Path, also: Sequence[Path] = ()) -> Inventory:
    """The inventory in the file `path`, with every variable file that belongs to it.

    `also` are further folders whose `group_vars/` and `host_vars/` count, after those beside
    the inventory: Ansible takes those beside the runbook as well. Nothing is contacted and
    nothing is run. Raises UsageError with all problems at once, each with its place.
    """
    text = _text(path)
    data = _data(text, path)
    tree = Tree()
    tree.read(data)
    cycle = find_cycle(tree.groups)
    problems = [*tree.problems, *([cycle] if cycle else [])]
    if not tree.hosts and not problems:
        problems.append(
            Problem("no host is named", Place(str(path), 1), "put hosts under a group's `hosts:`")
        )
    group_files, host_files = _variable_files(tree, _folders(path, also), problems)
    if problems:
        raise UsageError.of(problems)
    return _assemble(path, tree, group_files, host_files)


def _text(path: Path) -> str:
    if "," in str(path) and not path.exists():
        raise UsageError(
            f"{path}: a list of hosts is not an inventory",
            hint="write the hosts into a YAML file; `nbops init` makes one to start from",
        )
    if path.is_dir():
        inside = sorted(one.name for one in path.iterdir() if one.suffix in {".yml", ".yaml"})
        raise UsageError(
            f"{path}: is a folder, and an inventory is one file",
            hint=f"name the file: {path / inside[0]}"
            if inside
            else "`nbops init` makes a file to start from",
        )
    if not path.exists():
        raise UsageError(
            f"{path}: no such inventory",
            hint="name one with -i FILE, or make one with `nbops init`",
        )
    if os.access(path, os.X_OK) and _begins_with(path, b"#!"):
        raise UsageError(
            "a program that prints an inventory is not run by nbops",
            place=Place(str(path), 1),
            hint=_CONVERT.format(file=path),
        )
    return read_file(path, str(path))


def _begins_with(path: Path, mark: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(mark)) == mark
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None


def _data(text: str, path: Path) -> YamlMap:
    if path.suffix in {".ini", ".cfg", ".toml"}:
        raise _other_format(path, path.suffix[1:].upper(), 1)
    ini_line = _looks_like_ini(text)
    try:
        data = load_text(text, str(path))
    except UsageError:
        if ini_line:
            raise _other_format(path, "INI", ini_line) from None
        raise
    if data is None:
        raise UsageError(
            "the inventory is empty",
            place=Place(str(path), 1),
            hint="`nbops init` makes one to start from",
        )
    if not isinstance(data, YamlMap):
        if ini_line:
            raise _other_format(path, "INI", ini_line)
        raise UsageError(
            "an inventory is a mapping of groups",
            place=Place(str(path), 1),
            hint="it begins with `all:`; `nbops init` makes one to start from",
        )
    _refuse_other_documents(data, path)
    return data


def _refuse_other_documents(data: YamlMap, path: Path) -> None:
    if isinstance(data.get("plugin"), str):
        raise UsageError(
            f"the settings of the inventory plugin `{data['plugin']}` are not an inventory",
            place=data.key_places.get("plugin"),
            hint=_CONVERT.format(file=path),
        )
    if "_meta" in data:
        raise UsageError(
            "what `ansible-inventory --list` prints as JSON is not an inventory file",
            place=data.key_places.get("_meta"),
            hint="add `--yaml` to that command",
        )


def _looks_like_ini(text: str) -> int:
    """The first line that only an INI inventory has, from 1; 0 when there is none."""
    for number, line in enumerate(text.splitlines(), 1):
        if _INI_SECTION.match(line) or _INI_HOST.match(line):
            return number
    return 0


def _other_format(path: Path, name: str, line: int) -> UsageError:
    return UsageError(
        f"an inventory in {name} format; nbops reads YAML",
        place=Place(str(path), line),
        hint=_CONVERT.format(file=path),
    )


def _folders(path: Path, also: Sequence[Path]) -> list[Path]:
    """The folder of the inventory, then the others, none of them twice."""
    folders: dict[Path, Path] = {}
    for folder in (path.parent, *also):
        folders.setdefault(folder.resolve(), folder)
    return list(folders.values())


def _variable_files(
    tree: Tree, folders: Sequence[Path], problems: list[Problem]
) -> tuple[dict[str, list[YamlMap]], dict[str, list[YamlMap]]]:
    results: list[dict[str, list[YamlMap]]] = []
    kinds: list[tuple[str, Any]] = [("group_vars", tree.groups), ("host_vars", tree.hosts)]
    for kind, names in kinds:
        found: dict[str, list[YamlMap]] = {name: [] for name in names}
        for folder in folders:
            reader = VarsFiles(folder / kind)
            for name in names if reader.folder.is_dir() else ():
                found[name].append(reader.of(name))
            tree.warnings += [*reader.warnings, *reader.misspelt(set(names))]
            problems += reader.problems
        results.append(found)
    return results[0], results[1]


def _assemble(
    path: Path,
    tree: Tree,
    group_files: dict[str, list[YamlMap]],
    host_files: dict[str, list[YamlMap]],
) -> Inventory:
    depth = depths(tree.groups)
    parents: dict[str, list[str]] = {name: [] for name in tree.groups}
    direct: dict[str, list[str]] = {name: [] for name in tree.hosts}
    for draft in tree.groups.values():
        for child in draft.children:
            parents[child].append(draft.name)
        for host in draft.hosts:
            direct[host].append(draft.name)
    groups = {
        draft.name: Group(
            name=draft.name,
            place=draft.place,
            hosts=tuple(draft.hosts),
            children=tuple(draft.children),
            parents=tuple(parents[draft.name]),
            depth=depth[draft.name],
            priority=draft.priority,
            inline=draft.vars,
            files=tuple(group_files[draft.name]),
        )
        for draft in tree.groups.values()
    }
    hosts = {
        host.name: Host(
            name=host.name,
            place=host.place,
            layers=(host.vars, *host_files[host.name]),
            groups=tuple(direct[host.name]),
        )
        for host in tree.hosts.values()
    }
    return Inventory(path, hosts, groups, tuple(tree.warnings))
