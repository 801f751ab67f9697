from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.errors import UsageError
from nbops.inventory.load import load_inventory
from nbops.inventory.model import Inventory
from nbops.inventory.pattern import match_hosts

TEXT = """
all:
  children:
    app: {hosts: {"node[1:4]": }}
    eu: {hosts: {node1: , node2: , db: }}
    db_group: {hosts: {db: }}
    empty:
"""


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    path = tmp_path_factory.mktemp("pattern") / "inventory.yml"
    path.write_text(TEXT, encoding="utf-8")
    return load_inventory(path)


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("all", ["node1", "node2", "node3", "node4", "db"]),
        ("app:&eu:!node2", ["node1"]),
        ("!node2:&eu:app", ["node1"]),
        ("app[0]", ["node1"]),
        ("app[-1]", ["node4"]),
        ("app[1:2]", ["node2", "node3"]),
        ("app[2:]", ["node3", "node4"]),
        ("app[7:9]", []),
        ("node?", ["node1", "node2", "node3", "node4"]),
        ("nowhere*", []),
        ("~nowhere.*", []),
        ("~node[24]$", ["node2", "node4"]),
        ("empty", []),
        ("empty:db", ["db"]),
        ("localhost", ["localhost"]),
        ("db,node1,db", ["db", "node1"]),
        (" app , db ", ["node1", "node2", "node3", "node4", "db"]),
        ("", ["node1", "node2", "node3", "node4", "db"]),
    ],
)
def test_a_pattern_means_hosts(inventory: Inventory, pattern: str, hosts: list[str]) -> None:
    assert match_hosts(inventory, pattern) == hosts


@pytest.mark.parametrize(
    ("pattern", "word", "near"),
    [
        ("ap", "ap", "app"),
        ("nod1", "nod1", "node1"),
        ("app:!node9", "node9", "node"),
        ("app:&euu", "euu", "eu"),
        ("web0[1]", "web0", ""),
        ("nodes", "nodes", "node"),
    ],
)
def test_an_unknown_name_is_an_error_that_tells_the_nearest(
    inventory: Inventory, pattern: str, word: str, near: str
) -> None:
    with pytest.raises(UsageError) as caught:
        match_hosts(inventory, pattern)
    (problem,) = caught.value.problems
    assert f"`{word}`" in problem.message
    assert near in (problem.hint or "")


@pytest.mark.parametrize("pattern", ["app[4]", "app[-5]", "~(", "~[", "&", "app:!", "x" * 20_000])
def test_a_wrong_pattern_is_an_error(inventory: Inventory, pattern: str) -> None:
    with pytest.raises(UsageError):
        match_hosts(inventory, pattern)


def test_a_limit_from_a_file_has_one_pattern_a_line(inventory: Inventory, tmp_path: Path) -> None:
    path = tmp_path / "failed"
    path.write_text("node3\n\n node1 \n", encoding="utf-8")
    assert match_hosts(inventory, "app", f"@{path}") == ["node1", "node3"]
    assert match_hosts(inventory, "app", f"@{path},!node1") == ["node3"]


def test_a_limit_file_that_is_not_there_is_an_error(inventory: Inventory, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        match_hosts(inventory, "app", f"@{tmp_path}/none")
    with pytest.raises(UsageError, match="directory"):
        match_hosts(inventory, "app", f"@{tmp_path}")


def test_a_name_unknown_in_the_limit_is_an_error(inventory: Inventory) -> None:
    with pytest.raises(UsageError, match="node5"):
        match_hosts(inventory, "all", "node5")


def test_this_machine_is_there_without_being_named(
    load: Callable[..., Inventory],
) -> None:
    inventory = load("all: {vars: {zone: eu}, hosts: {a: }}")
    assert inventory.vars_of("localhost") == {"zone": "eu", "ansible_connection": "local"}
    assert inventory.groups_of("localhost") == []
    assert "localhost" not in inventory.hosts


PARTS = st.sampled_from(
    [
        "app",
        "eu",
        "db_group",
        "node1",
        "node4",
        "db",
        "node*",
        "~node[12]",
        "app[0]",
        "all",
        "empty",
    ]
)


@given(
    st.lists(PARTS, min_size=1, max_size=4),
    st.lists(PARTS, max_size=2),
    st.lists(PARTS, max_size=2),
)
def test_patterns_are_the_algebra_of_sets(
    inventory: Inventory, named: list[str], shared: list[str], without: list[str]
) -> None:
    def one(part: str) -> set[str]:
        return set(match_hosts(inventory, part))

    expected = set().union(*(one(part) for part in named))
    for part in shared:
        expected &= one(part)
    for part in without:
        expected -= one(part)
    pattern = ",".join(
        [*named, *(f"&{part}" for part in shared), *(f"!{part}" for part in without)]
    )
    found = match_hosts(inventory, pattern)
    assert set(found) == expected
    assert len(found) == len(expected)
    assert set(match_hosts(inventory, "all", pattern)) == expected


@given(st.text(max_size=40))
def test_any_text_gives_hosts_or_a_usage_error(inventory: Inventory, pattern: str) -> None:
    try:
        hosts = match_hosts(inventory, pattern)
    except UsageError:
        return
    assert set(hosts) <= {*inventory.hosts, "localhost", "127.0.0.1", "::1"}
