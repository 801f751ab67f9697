"""Where a runbook is found."""

from pathlib import Path

import pytest

from nbops.base.errors import UsageError
from nbops.cli import runbooks

INVENTORY = Path("cluster/inventory.yml")


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
