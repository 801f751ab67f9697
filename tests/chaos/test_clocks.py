"""Computers whose clocks are an hour apart, and a cluster: nothing is different.

The machines have the clock of the box. The computer with nbops has one that is an hour ahead or
behind; the order of releases, backups and locks must not come from it.
"""

from __future__ import annotations

import calendar
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pytest

from nbops.engine.lockrecord import LIFE
from tests.chaos.machines import NODES, Chaos
from tests.deploy.upgrading import NEW, OLD, Run, Upgrading

pytestmark = [pytest.mark.lab, pytest.mark.series]

HOUR = 3600
_DEADLINE = 900


@dataclass(frozen=True)
class Computer:
    """One with a home of its own, and a clock that is so many seconds ahead."""

    home: Path
    ahead: int
    inventory: Path

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """A command, whose end is not waited for."""
        self.home.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.clock", str(self.ahead), *arguments],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "HOME": str(self.home),
                "LC_ALL": "C.UTF-8",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> Run:
        """A command on the cluster, to its end."""
        process = self.begin(*words)
        out, _ = process.communicate(timeout=_DEADLINE)
        return Run(process.returncode, out, "")

    def changes(self, command: str, *arguments: str) -> Run:
        """The same for one that must end well; its run bears the time of this computer."""
        began = time.time()
        words = (command, "-i", str(self.inventory), *arguments, "--plain")
        run = self.run(*words).ended(0)
        named = calendar.timegm(time.strptime(run.name[:16], "%Y%m%dT%H%M%SZ"))
        assert -2 <= named - self.ahead - began <= time.time() - began
        return run

    def asks(self, *words: str) -> Any:
        """What a command that only reads gives as data."""
        return json.loads(self.run(*words, "-i", str(self.inventory), "--json").ended(0).out)


@dataclass(frozen=True)
class Pair:
    """A computer with the right clock, one with another, and the cluster of both."""

    right: Computer
    wrong: Computer
    world: Upgrading

    def check(self, version: str, last: Run) -> None:
        """The version serves everywhere, and both know that this release came last."""
        world = self.world
        nodes = [f"http://{world.cluster.address(node)}:13000/api" for node in NODES]
        assert {world.version(), *map(world.version, nodes)} == {version}
        for one in (self.right, self.wrong):
            releases = one.asks("releases")["releases"]
            assert [release["run"] for release in releases if release["present"]] == [last.name]
            numbers = [release["number"] for release in releases]
            assert numbers == sorted(numbers, reverse=True)
        assert world.lock() == "free"

    def check_backups(self, *latest: Run) -> None:
        """Both know that these backups came last, the last one first."""
        for one in (self.right, self.wrong):
            backups = one.asks("backups")["backups"][: len(latest)]
            assert [backup["name"].rpartition("-")[0] for backup in backups] == [
                run.name for run in latest
            ]


@pytest.fixture
def pair(old: Upgrading, tmp_path: Path, request: pytest.FixtureRequest) -> Pair:
    inventory = old.cluster.inventory
    return Pair(
        Computer(tmp_path / "right", 0, inventory),
        Computer(tmp_path / "wrong", request.param, inventory),
        old,
    )


@pytest.mark.parametrize("pair", [-HOUR], ids=["behind"], indirect=True)
def test_what_a_computer_an_hour_behind_does_last_is_the_latest(pair: Pair, chaos: Chaos) -> None:
    first = pair.right.changes("backup")
    second = pair.wrong.changes("backup")
    pair.check_backups(second, first)
    elsewhere = replace(pair.wrong, inventory=chaos.other_setting())
    pair.check(OLD, elsewhere.changes("deploy"))


@pytest.mark.parametrize("pair", [-HOUR, HOUR], ids=["behind", "ahead"], indirect=True)
def test_computers_an_hour_apart_work_in_turn_and_not_at_once(pair: Pair) -> None:
    pair.world.add("written before")
    upgrading = pair.wrong.begin("upgrade", str(pair.wrong.inventory), "--version", NEW, "--plain")
    assert upgrading.stdout is not None
    said = until(upgrading.stdout, "TASK Stop the nodes")
    refused = pair.right.run("upgrade", str(pair.right.inventory), "--version", NEW)
    refused.ended(5, "`upgrade` of ", "last sign", "wait for it")
    said += upgrading.stdout.read()
    upgraded = Run(upgrading.wait(_DEADLINE), said, "").ended(0, "this computer's clock is 60 min")
    pair.check(NEW, upgraded)
    back = pair.right.changes("rollback", "--yes", "--accept-data-loss")
    pair.check(OLD, back)
    pair.check_backups(back, upgraded)
    assert "written before" in pair.world.notes()
    upgraded = pair.right.changes("upgrade", "--version", NEW)
    back = pair.wrong.changes("rollback", "--yes", "--accept-data-loss")
    pair.check(OLD, back)
    pair.check_backups(back, upgraded)
    assert "written before" in pair.world.notes()


@pytest.mark.parametrize("pair", [-HOUR, HOUR], ids=["behind", "ahead"], indirect=True)
def test_a_lock_is_as_old_as_the_hosts_say(pair: Pair) -> None:
    upgrading = pair.wrong.begin("upgrade", str(pair.wrong.inventory), "--version", NEW, "--plain")
    assert upgrading.stdout is not None
    until(upgrading.stdout, "TASK Stop the nodes")
    upgrading.kill()
    upgrading.wait(_DEADLINE)
    held = pair.right.asks("lock", "show")
    assert all(one["beats"] and 0 <= one["age"] <= LIFE for one in held)
    breaking = ("lock", "break", held[0]["run"], "-i", str(pair.right.inventory))
    pair.right.run(*breaking).ended(2, "lives: its last sign")
    time.sleep(LIFE + 2)
    pair.right.run(*breaking).ended(0, "the cluster is free")
    pair.right.changes("rollback", "--yes", "--accept-data-loss")
    assert pair.world.version() == OLD


def until(output: IO[str], words: str) -> str:
    """What a command says up to a line with these words. Raises when it never says them."""
    said = ""
    for line in output:
        said += line
        if words in line:
            return said
    raise AssertionError(f"{words!r} is not in\n{said}")
