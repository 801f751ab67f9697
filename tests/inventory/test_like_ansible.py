"""nbops and ansible-core read the same inventories and understand the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbops.base.errors import UsageError
from nbops.inventory.load import load_inventory
from nbops.inventory.model import Inventory
from nbops.inventory.pattern import match_hosts

CASES: list[dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("cases.yml").read_text(encoding="utf-8")
)
NAMES = [case["name"] for case in CASES]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    written = {}
    for case in CASES:
        folder = tmp_path_factory.mktemp("case")
        for name, text in {"inventory.yml": case["inventory"], **case.get("files", {})}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        written[case["name"]] = folder / "inventory.yml"
    return written


@pytest.fixture(scope="module")
def answers(
    files: dict[str, Path], ask_ansible: Callable[[list[Any]], list[Any]]
) -> dict[str, Any]:
    asked = [
        {
            "file": str(files[case["name"]]),
            "patterns": case["patterns"],
            "limits": case["limits"],
        }
        for case in CASES
    ]
    return dict(zip(NAMES, ask_ansible(asked), strict=True))


@pytest.fixture
def ours(name: str, files: dict[str, Path]) -> Inventory:
    return load_inventory(files[name])


def in_order(name: str, hosts: Any) -> Any:
    """The hosts as they came, or sorted where Ansible itself has no order."""
    any_order = next(case for case in CASES if case["name"] == name).get("any_order")
    return sorted(hosts) if any_order else list(hosts)


cases = pytest.mark.parametrize("name", NAMES)


@cases
def test_the_hosts_come_in_the_same_order(
    ours: Inventory, name: str, answers: dict[str, Any]
) -> None:
    said = in_order(name, ours.hosts_of("all"))
    assert said == in_order(name, answers[name]["hosts"])


@cases
def test_the_groups_hold_the_same_hosts(
    ours: Inventory, name: str, answers: dict[str, Any]
) -> None:
    said = {group: in_order(name, hosts) for group, hosts in ours.members().items()}
    theirs = answers[name]["groups"]
    assert said == {group: in_order(name, hosts) for group, hosts in theirs.items()}


@cases
def test_each_host_is_in_the_same_groups(
    ours: Inventory, name: str, answers: dict[str, Any]
) -> None:
    said = {host: ours.groups_of(host) for host in ours.hosts}
    assert said == answers[name]["group_names"]


@cases
def test_each_host_has_the_same_variables(
    ours: Inventory, name: str, answers: dict[str, Any]
) -> None:
    said = {host: dict(ours.vars_of(host)) for host in ours.hosts}
    assert said == answers[name]["vars"]


@pytest.mark.parametrize(
    ("name", "pattern"), [(case["name"], one) for case in CASES for one in case["patterns"]]
)
def test_a_pattern_means_the_same_hosts(
    name: str, pattern: str, files: dict[str, Path], answers: dict[str, Any]
) -> None:
    said = match_hosts(load_inventory(files[name]), pattern)
    assert in_order(name, said) == in_order(name, answers[name]["patterns"][pattern])


@pytest.mark.parametrize(
    ("name", "pattern", "limit"),
    [(case["name"], *both) for case in CASES for both in case["limits"]],
)
def test_a_limit_leaves_the_same_hosts(
    name: str, pattern: str, limit: str, files: dict[str, Path], answers: dict[str, Any]
) -> None:
    said = match_hosts(load_inventory(files[name]), pattern, limit)
    theirs = answers[name]["limits"][f"{pattern}|{limit}"]
    assert in_order(name, said) == in_order(name, theirs)


def test_what_ansible_inventory_writes_can_be_read(files: dict[str, Path], tmp_path: Path) -> None:
    path = files["a plain cluster"]
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(path)]
    done = subprocess.run(
        [*command, "--list", "--yaml"], capture_output=True, text=True, check=True, timeout=60
    )
    copy = tmp_path / "copy.yml"
    copy.write_text(done.stdout, encoding="utf-8")
    before, after = load_inventory(path), load_inventory(copy)
    for host in before.hosts:
        assert dict(after.vars_of(host)) == dict(before.vars_of(host))
        assert after.groups_of(host) == before.groups_of(host)


def test_an_ini_inventory_is_refused_with_a_command_that_converts_it(tmp_path: Path) -> None:
    ini = tmp_path / "hosts"
    ini.write_text("[app]\nnode[1:2] ansible_user=ops\n[app:vars]\nzone=eu\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_inventory(ini)
    hint = caught.value.problems[0].hint or ""
    words = hint.split("`")[1].split(" > ")[0].split()
    words[0] = str(Path(sys.executable).with_name(words[0]))
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    converted = tmp_path / "inventory.yml"
    converted.write_text(done.stdout, encoding="utf-8")
    inventory = load_inventory(converted)
    assert inventory.vars_of("node2")["zone"] == "eu"
    assert inventory.hosts_of("app") == ("node1", "node2")
