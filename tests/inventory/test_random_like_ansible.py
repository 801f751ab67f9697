"""Inventories and patterns drawn at random mean the same to nbops and to ansible-core."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbops.base.errors import UsageError
from nbops.inventory.load import load_inventory
from nbops.inventory.model import Inventory
from nbops.inventory.pattern import match_hosts

SEED = 20
COUNT = 60
GROUPS = ["a", "b", "c", "d", "e", "f"]
HOSTS = ["h1", "h2", "h3", "h4", "h[5:6]"]
NO_HOSTS: list[str] = []


def some_vars(draw: random.Random) -> dict[str, int]:
    return {name: draw.randint(1, 99) for name in draw.sample("xyz", draw.randint(0, 3))}


def a_group(draw: random.Random, depth: int, below: list[str]) -> dict[str, Any] | None:
    """A group whose children come later in the alphabet, so that there is no cycle."""
    group: dict[str, Any] = {}
    if draw.random() < 0.7:
        names = draw.sample(HOSTS, draw.randint(0, 3))
        group["hosts"] = {name: some_vars(draw) or None for name in names}
    if draw.random() < 0.6:
        group["vars"] = some_vars(draw)
    if draw.random() < 0.2:
        group.setdefault("vars", {})["ansible_group_priority"] = draw.randint(1, 5)
    if depth and draw.random() < 0.7:
        names = draw.sample(below, min(len(below), draw.randint(0, 2)))
        group["children"] = {
            name: a_group(draw, depth - 1, [one for one in below if one > name]) for name in names
        }
    items = list(group.items())
    draw.shuffle(items)
    return dict(items) or None


def write(draw: random.Random, folder: Path) -> Path:
    tops = draw.sample(GROUPS, draw.randint(1, 3))
    inventory = {name: a_group(draw, 2, [one for one in GROUPS if one > name]) for name in tops}
    if draw.random() < 0.5:
        inventory["all"] = a_group(draw, 0, [])
    path = folder / "inventory.yml"
    path.write_text(yaml.safe_dump(inventory, sort_keys=False), encoding="utf-8")
    for kind, names in {"group_vars": [*GROUPS, "all"], "host_vars": ["h1", "h5"]}.items():
        for name in names:
            if draw.random() < 0.25:
                file = folder / kind / f"{name}{draw.choice(['', '.yml', '.yaml', '.json'])}"
                file.parent.mkdir(exist_ok=True)
                file.write_text(json.dumps(some_vars(draw)), encoding="utf-8")
    return path


def some_patterns(draw: random.Random, inventory: Inventory) -> list[str]:
    names = [*inventory.groups, *inventory.hosts, "h*", "~h[12]", "?", "[ab]"]
    return [
        draw.choice(":,").join(
            draw.choice(["", "", "&", "!"]) + draw.choice(names) for _ in range(draw.randint(1, 3))
        )
        for _ in range(8)
    ]


def ours(inventory: Inventory, pattern: str) -> list[str]:
    """The hosts; none where a name is unknown, which Ansible only warns about."""
    try:
        return sorted(match_hosts(inventory, pattern))
    except UsageError:
        return NO_HOSTS


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory, ask_ansible: Callable[[list[Any]], list[Any]]
) -> list[tuple[Inventory, dict[str, Any]]]:
    draw = random.Random(SEED)  # noqa: S311 - the same inventories in every run
    inventories, asked = [], []
    while len(inventories) < COUNT:
        path = write(draw, tmp_path_factory.mktemp("random"))
        try:
            inventory = load_inventory(path)
        except UsageError as error:
            assert "no host is named" in str(error)
            continue
        patterns = some_patterns(draw, inventory)
        inventories.append(inventory)
        asked.append({"file": str(path), "patterns": patterns, "limits": []})
    return list(zip(inventories, ask_ansible(asked), strict=True))


Compared = list[tuple[Inventory, dict[str, Any]]]


def test_each_host_has_the_same_variables(compared: Compared) -> None:
    for inventory, theirs in compared:
        said = {host: dict(inventory.vars_of(host)) for host in inventory.hosts}
        assert said == theirs["vars"], inventory.file


def test_groups_hold_the_same_hosts(compared: Compared) -> None:
    for inventory, theirs in compared:
        said = {name: sorted(hosts) for name, hosts in inventory.members().items()}
        assert said == {name: sorted(hosts) for name, hosts in theirs["groups"].items()}
        names = {host: inventory.groups_of(host) for host in inventory.hosts}
        assert names == theirs["group_names"], inventory.file


def test_patterns_mean_the_same_hosts(compared: Compared) -> None:
    for inventory, theirs in compared:
        for pattern, hosts in theirs["patterns"].items():
            assert ours(inventory, pattern) == sorted(hosts), (inventory.file, pattern)
