"""Where a runbook is found, and what is true of those that come with nbops."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, nodes

from nbops.base.errors import UsageError
from nbops.cli import runbooks

INVENTORY = Path("cluster/inventory.yml")
CONDITIONS = ("when", "until", "failed_when", "changed_when", "that")
# What is true or false by itself: settings, and what the commands and actions say.
SWITCHES = {
    "nbops_accept_data_loss",
    "nbops_adopt",
    "nbops_page | default(true)",
    "nocobase.database.managed",
    "nocobase.redis.managed",
    "nocobase.upgrade.pause_after_verify",
    "nocobase_change.backup",
    "nocobase_change.close",
    "nocobase_change.open",
}


@pytest.fixture
def mine() -> Path:
    folder = Path("cluster/runbooks")
    folder.mkdir(parents=True)
    return folder


def test_a_name_finds_the_one_that_comes_with_nbops() -> None:
    assert runbooks.find("deploy", INVENTORY) == runbooks.shipped() / "deploy.yml"


@pytest.mark.parametrize("ending", [".yml", ".yaml"])
def test_the_users_own_replaces_it(mine: Path, ending: str) -> None:
    own = mine / f"deploy{ending}"
    own.touch()
    assert runbooks.find("deploy", INVENTORY) == own


def test_a_path_is_taken_as_it_is(mine: Path) -> None:
    (mine / "restart.yml").touch()
    path = Path("restart.yml")
    path.touch()
    assert runbooks.find("restart.yml", INVENTORY) == path
    assert runbooks.find("./restart.yml", INVENTORY) == path


def test_a_misspelt_name_is_answered_with_the_nearest(mine: Path) -> None:
    (mine / "rotate-keys.yml").touch()
    with pytest.raises(UsageError) as caught:
        runbooks.find("rotate-key", INVENTORY)
    assert caught.value.problems[0].hint == "did you mean `rotate-keys`?"


def test_an_unknown_name_is_answered_with_all_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        runbooks.find("zzzzzz", INVENTORY)
    assert "deploy" in (caught.value.problems[0].hint or "")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"x\.yml: no such runbook"):
        runbooks.find("x.yml", INVENTORY)


@pytest.mark.parametrize(
    "path", sorted(runbooks.shipped().rglob("*.yml")), ids=lambda path: str(path.stem)
)
def test_every_condition_is_true_or_false_and_no_number_or_text(path: Path) -> None:
    for written in _conditions(yaml.safe_load(path.read_text())):
        for part in _parts(written):
            assert part in SWITCHES, f"{written}: `{part}` may be neither true nor false"


def _conditions(node: Any) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        if key in CONDITIONS:
            yield from (str(one) for one in (value if isinstance(value, list) else [value]))
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _conditions(child)


def _parts(written: str) -> Iterator[str]:
    """What stands between `and` and `or`, but for comparisons, tests and what `not` makes."""
    (output,) = Environment(autoescape=True).parse("{{ " + written + " }}").body
    assert isinstance(output, nodes.Output)
    todo = list(output.nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, nodes.And | nodes.Or):
            todo += [node.left, node.right]
        elif not isinstance(node, nodes.Compare | nodes.Test | nodes.Not | nodes.Const):
            yield _spelt(node)


def _spelt(node: nodes.Node) -> str:
    match node:
        case nodes.Name(name=name):
            return str(name)
        case nodes.Getattr(node=inner, attr=attr):
            return f"{_spelt(inner)}.{attr}"
        case nodes.Filter(node=nodes.Expr() as inner, name="default", args=[nodes.Const(value=v)]):
            return f"{_spelt(inner)} | default({str(v).lower()})"
    return type(node).__name__


@pytest.mark.parametrize("path", sorted(runbooks.shipped().glob("*.yml")), ids=lambda one: one.stem)
def test_a_play_of_ours_that_an_error_ends_is_ended_by_an_unreachable_host_too(path: Path) -> None:
    """`any_errors_fatal` alone lets later plays go on with other hosts then, as in Ansible."""
    plays = [one for one in yaml.safe_load(path.read_text("utf-8")) if "any_errors_fatal" in one]
    assert all(one.get("max_fail_percentage") == 0 for one in plays)
