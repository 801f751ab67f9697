"""Upgrades that are stopped in the middle: by a failure, by the operator, by a crash."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy.cluster import NBOPS, Cluster
from tests.deploy.upgrading import NEW, OLD, Upgrading, status_of

pytestmark = [pytest.mark.lab, pytest.mark.series]

WAYS = ("resume", "abort")


def go_on(old: Upgrading, way: str, run: str, token: str) -> None:
    """Ends a run one way or the other, under the eyes of visitors at the 503 page."""
    assert all(status_of(balancer) == 503 for balancer in old.balancers)
    with old.watched(token) as seen:
        old.run(way, run).ended(0, "503 for")
    seen.check_window(None, NEW if way == "resume" else OLD)
    assert old.lock() == "free"


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_is_left_standing_when_that_is_wanted(old: Upgrading, way: str) -> None:
    before, token = old.state(), old.token()
    old.add("written before")
    old.cluster.on("node1", "rm -f /tmp/shop")
    with old.own_runbook("verify.yml", [{"name": "Shop", "command": "test -e /tmp/shop"}]):
        told = old.upgrade("--on-failure", "stop")
        told.ended(1, "`Shop` failed on node1", "Stopped there", "nbops resume", "nbops abort")
        assert "503 for" in told.out and "and it stands" in told.out
        assert f"run {told.name}, interrupted" in old.lock()
        old.cluster.on("node1", "touch /tmp/shop")
        go_on(old, way, told.name, token)
    assert "written before" in old.notes()
    if way == "abort":
        assert old.state() == before


@pytest.mark.parametrize(("words", "code"), [((), 1), (("--yes",), 3)])
def test_it_asks_only_on_a_terminal_and_yes_answers(
    old: Upgrading, words: tuple[str, ...], code: int
) -> None:
    token = old.token()
    told = old.upgrade("--on-failure", "ask", *words, inventory=old.broken_by("die-in-migration"))
    told.ended(code, "`Wait until it serves` failed on node1")
    if code == 1:
        go_on(old, "abort", told.name, token)
    assert old.version() == OLD


def test_the_operator_looks_through_the_side_door_while_visitors_wait(old: Upgrading) -> None:
    where = old.with_setting("upgrade", value={"pause_after_verify": True})
    hand, terminal = pty.openpty()
    process = subprocess.Popen(
        [NBOPS, "upgrade", str(where), "--version", NEW, "--plain"],
        cwd=old.cluster.home,
        env={"HOME": str(old.cluster.home), "PATH": os.environ["PATH"], "TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        said = read_until(hand, "press Enter")
        assert status_of(old.balancers[0]) == 503
        door = re.search(r"ssh -L (\d+)", said)
        assert door, said
        look = f"curl -s http://127.0.0.1:{door[1]}/api/app:getInfo"
        assert f'"version":"{NEW}"' in old.cluster.on("lb", look)
        time.sleep(2)
        assert process.poll() is None
        os.write(hand, b"\n")
        read_until(hand, "RECAP")
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
    os.close(hand)
    assert old.version() == NEW


@pytest.mark.parametrize("way", WAYS)
def test_control_c_leaves_a_run_that_can_go_either_way(old: Upgrading, way: str) -> None:
    before, token = old.state(), old.token()
    where = str(old.cluster.inventory)
    told = old.stopped_at(
        "Write the environment", signal.SIGINT, "upgrade", where, "--version", NEW
    )
    told.ended(130, "nbops resume", "nbops abort")
    assert f"run {told.name}, interrupted" in old.lock()
    go_on(old, way, told.name, token)
    if way == "abort":
        assert old.state() == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "task", ["Dump, and check the dump", "Start the first node", "Start the other nodes"]
)
def test_a_crash_is_gone_on_from_or_undone(old: Upgrading, task: str, way: str) -> None:
    before, token = old.state(), old.token()
    old.add("written before")
    where = str(old.cluster.inventory)
    told = old.stopped_at(task, signal.SIGKILL, "upgrade", where, "--version", NEW)
    go_on(old, way, told.name, token)
    assert "written before" in old.notes()
    if way == "abort":
        assert old.state() == before


def test_another_computer_ends_an_upgrade_that_is_half_way(old: Upgrading, tmp_path: Path) -> None:
    old.add("written before")
    where = str(old.cluster.inventory)
    upgrade = ("upgrade", where, "--version", NEW)
    told = old.stopped_at("Start the other nodes", signal.SIGKILL, *upgrade)
    colleague = elsewhere(old, tmp_path)
    run = told.name
    colleague.run("upgrade", where, "--version", NEW).ended(5, run)
    wait_for_silence(colleague, run)
    colleague.run("upgrade", where, "--version", NEW).ended(2, run, "nbops rollback")
    rollback = ("rollback", where, "--yes", "--accept-data-loss")
    tried = colleague.stopped_at("Dump, and check the dump", signal.SIGINT, *rollback)
    colleague.run("abort", tried.name).ended(6, f"half-way since run {run}", "nbops lock break")
    assert [status_of(balancer) for balancer in old.balancers] == [503, 503]
    colleague.run("lock", "break", tried.name, "-i", where).ended(0)
    assert "`nbops rollback`" in colleague.run("status", where).all
    colleague.rollback().ended(0, f"NocoBase {OLD} serves again")
    check_gone_back(old)


def test_another_computer_takes_a_finished_upgrade_back(old: Upgrading, tmp_path: Path) -> None:
    old.add("written before")
    old.upgrade().ended(0)
    colleague = elsewhere(old, tmp_path)
    refused = colleague.run("rollback", str(old.cluster.inventory))
    refused.ended(2, "--yes --accept-data-loss")
    assert old.version() == NEW
    colleague.rollback().ended(0, f"NocoBase {OLD} serves again")
    check_gone_back(old)


def check_gone_back(old: Upgrading) -> None:
    assert old.version() == OLD
    assert "written before" in old.notes()
    assert old.lock() == "free"
    assert "pending" not in old.cluster.on("node1", "ls /var/lib/nbops/*/releases")


def elsewhere(old: Upgrading, folder: Path) -> Upgrading:
    """The same cluster from a computer that knows nothing but the inventory."""
    return Upgrading(Cluster(old.cluster.name, folder / "home", old.cluster.inventory))


def wait_for_silence(colleague: Upgrading, run: str) -> None:
    """Break the lock as soon as its run counts as dead."""
    end = time.monotonic() + 180
    where = str(colleague.cluster.inventory)
    while time.monotonic() < end:
        done = colleague.run("lock", "break", run, "-i", where)
        if done.code == 0:
            return
        assert done.code == 2, done.all
        time.sleep(5)
    raise AssertionError(f"the lock of {run} cannot be broken")


def read_until(hand: int, words: str) -> str:
    """What a terminal shows, up to these words."""
    shown, end = "", time.monotonic() + 300
    while words not in shown:
        assert time.monotonic() < end, shown
        try:
            shown += os.read(hand, 4096).decode(errors="replace")
        except OSError:
            break
    return shown
