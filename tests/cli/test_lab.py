"""`nbops lab`: its words on the command line; the machines themselves are tested elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from nbops.base.errors import LabError
from nbops.lab import lab as real
from nbops.lab.events import LabStep
from nbops.lab.layout import Wish
from tests.cli.cli_told import Nbops


class FakeLab:
    """Notes what it is asked to do, in place of machines."""

    asked: list[tuple[str, Any]]

    def __init__(self, name: str, emit: Any) -> None:
        self.name, self._emit = name, emit

    def up(self, wish: Wish) -> Path:
        self.asked.append((f"up {self.name}", wish))
        self._emit(LabStep(name="node1", message="ready", seconds=1.5))
        return Path("/labs") / self.name / "inventory.yml"

    def down(self) -> None:
        self.asked.append((f"down {self.name}", ()))

    def ssh(self, host: str, command: Any) -> int:
        if host == "nope":
            raise LabError("this lab has no machine 'nope'", hint="it has node1")
        self.asked.append((f"ssh {self.name} {host}", list(command)))
        return 7


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    FakeLab.asked = []
    monkeypatch.setattr(real, "Lab", FakeLab)
    monkeypatch.setattr(real, "list_labs", lambda: ("one", "two"))
    return FakeLab.asked


def test_up_ends_with_the_path_of_the_inventory(nbops: Nbops, asked: list[Any]) -> None:
    told = nbops("lab", "up", "--name", "trial", "--nodes", "2", "--app", "sample")
    assert told.code == 0
    assert told.out.splitlines() == ["node1: ready (1.5 s)", "/labs/trial/inventory.yml"]
    assert asked == [("up trial", Wish(nodes=2, app="sample"))]


def test_up_as_json_ends_with_an_object_that_names_it(nbops: Nbops) -> None:
    rows = nbops("lab", "up", "--json").out.splitlines()
    assert json.loads(rows[-1])["inventory"] == "/labs/lab/inventory.yml"


def test_without_options_it_is_what_labs_usually_are(nbops: Nbops, asked: list[Any]) -> None:
    nbops("lab", "up")
    assert asked == [("up lab", Wish())]


def test_down_takes_one_lab_or_all(nbops: Nbops, asked: list[Any]) -> None:
    nbops("lab", "down", "--name", "trial")
    nbops("lab", "down", "--all")
    assert [what for what, _ in asked] == ["down trial", "down one", "down two"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("ssh", "--name", "trial", "node1", "--", "docker", "ps", "-a", "--json"),
        ("ssh", "node1", "--name", "trial", "--", "docker", "ps", "-a", "--json"),
    ],
)
def test_ssh_passes_the_command_there_and_its_status_back(
    nbops: Nbops, asked: list[Any], arguments: tuple[str, ...]
) -> None:
    assert nbops("lab", *arguments).code == 7
    assert asked == [("ssh trial node1", ["docker", "ps", "-a", "--json"])]


def test_ssh_without_a_command_opens_a_shell(nbops: Nbops, asked: list[Any]) -> None:
    nbops("lab", "ssh", "node1")
    assert asked == [("ssh lab node1", [])]


def test_what_the_lab_refuses_is_told_with_its_hint(nbops: Nbops) -> None:
    told = nbops("lab", "ssh", "nope")
    assert told.code == 1
    assert "hint: it has node1" in told.err
