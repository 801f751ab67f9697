"""The cluster's lock on hosts of which some fail at the wrong moment."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from nbops.base.errors import (
    ActionFailed,
    ConnectionLost,
    FenceRefused,
    HostUnusable,
    Interrupted,
    LockedError,
    RefusedError,
)
from nbops.engine.heart import Heart
from nbops.engine.lock import ClusterLock
from nbops.engine.lockbreak import Broken, break_lock
from nbops.engine.lockrecord import LIFE, State
from tests.engine.lock_hosts import ENDING, TAKING, Folders, holder, lost, nothing

STEP = 0.05


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    made = Folders(tmp_path)
    yield made
    made.close()


def taken(folders: Folders, run: str = "L1", *hosts: str) -> ClusterLock:
    lock = folders.lock(*hosts)
    lock.take(holder(run))
    return lock


def dead(folders: Folders, run: str = "L1") -> ClusterLock:
    lock = taken(folders, run)
    folders.die(lock)
    folders.ended.clear()
    return lock


def broken(folders: Folders, run: str, by: str, *hosts: str) -> Broken:
    return break_lock(folders.keepers(*hosts), run, holder(by, "lock break"))


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(STEP)


def test_a_run_gets_the_lock_and_gives_it_back(folders: Folders) -> None:
    lock = taken(folders)
    with pytest.raises(LockedError, match=r"locked by `upgrade` of eve@L1 .*\(run L1"):
        folders.lock().take(holder("L2"))
    assert folders.states() == [(host, 1, "held", "L1") for host in "abcd"]
    lock.leave(parked=False)
    assert folders.states() == [(host, 1, "free", "L1") for host in "abcd"]
    assert taken(folders, "L2").number == 2


# When a run is refused.


def test_a_take_that_fails_on_one_host_leaves_none_locked(folders: Folders) -> None:
    folders.meddle = lost("b", at=TAKING)
    with pytest.raises(ConnectionLost):
        folders.lock().take(holder("L1"))
    assert [record.state for record in folders.records()] == [State.FREE] * 4
    folders.meddle = nothing
    assert taken(folders, "L2").number == 2


def test_a_record_that_was_written_although_the_answer_was_lost_is_given_back(
    folders: Folders,
) -> None:
    written = []

    def meddle(host: str, script: str) -> None:
        if host == "c" and TAKING in script and not written:
            written.append(host)
            text = script.replace("/var/lib/nbops", str(folders.root / host))
            subprocess.run(["/bin/sh", "-c", text], check=True)
            raise ConnectionLost("c: gone")

    folders.meddle = meddle
    with pytest.raises(ConnectionLost):
        folders.lock().take(holder("L1"))
    assert folders.states()[2] == ("c", 1, "free", "L1")


def test_a_refused_run_leaves_alone_what_another_holds_under_the_same_number(
    folders: Folders,
) -> None:
    first = folders.lock()

    def meddle(host: str, script: str) -> None:
        if host == "b" and TAKING in script:
            folders.meddle = nothing
            # Another one, that saw the same numbers, was here first.
            folders.lock("b").take(holder("L2"))
            raise ConnectionLost("b: gone")

    folders.meddle = meddle
    with pytest.raises(ConnectionLost):
        first.take(holder("L1"))
    assert folders.states() == [
        ("a", 1, "free", "L1"),
        ("b", 1, "held", "L2"),
        ("c", 1, "free", "L1"),
        ("d", 1, "free", "L1"),
    ]


def test_who_is_stopped_while_it_takes_the_lock_gives_it_back(folders: Folders) -> None:
    def meddle(host: str, script: str) -> None:
        if host == "c" and TAKING in script:
            folders.stop.set()
            folders.stop.check()

    folders.meddle = meddle
    with pytest.raises(Interrupted):
        folders.lock().take(holder("L1"))
    assert not [record for record in folders.records() if record.held]


def test_a_resume_that_is_refused_leaves_the_half_way_cluster_locked(folders: Folders) -> None:
    taken(folders).leave(parked=True)
    folders.meddle = lost("c", at=TAKING)
    with pytest.raises(ConnectionLost):
        folders.lock().take(holder("L1"))
    folders.meddle = nothing
    assert [record.state for record in folders.records()] == [State.PARKED] * 4
    with pytest.raises(LockedError, match="run L1"):
        folders.lock().take(holder("L2"))
    assert taken(folders, "L1").number == 3


def test_a_run_cannot_go_on_when_another_one_had_the_cluster_meanwhile(folders: Folders) -> None:
    number = dead(folders).number
    broken(folders, "L1", "B1")
    taken(folders, "L2").leave(parked=False)
    with pytest.raises(FenceRefused, match=r"a later run since .*L2"):
        folders.lock().take(holder("L1"), number)
    assert not [record for record in folders.records() if record.held]


def test_a_run_whose_lock_was_broken_and_nothing_more_can_go_on(folders: Folders) -> None:
    number = dead(folders).number
    broken(folders, "L1", "B1")
    lock = folders.lock()
    assert lock.take(holder("L1"), number) > number
    lock.leave(parked=True)


def test_a_run_whose_lock_was_broken_with_two_words_can_go_on_as_well(folders: Folders) -> None:
    number = dead(folders).number
    folders.meddle = lost("c", at=TAKING)
    with pytest.raises(ConnectionLost):
        broken(folders, "L1", "B1")
    folders.meddle = nothing
    assert broken(folders, "L1", "B2").free
    lock = folders.lock()
    assert lock.take(holder("L1"), number) > number
    lock.leave(parked=True)


def test_a_run_that_never_had_the_lock_begins_whoever_had_it_before(folders: Folders) -> None:
    taken(folders, "L2").leave(parked=False)
    assert folders.lock().take(holder("L1"), 0) == 2


def test_jobs_that_could_not_be_ended_are_ended_by_the_next_run(folders: Folders) -> None:
    taken(folders).leave(parked=False)
    folders.meddle = lost("c", at=ENDING)
    with pytest.raises(ConnectionLost):
        folders.lock().take(holder("L2"))
    folders.meddle = nothing
    folders.ended.clear()
    lock = taken(folders, "L3")
    assert {(host, "L1") for host in "abcd"} <= folders.ended
    lock.leave(parked=False)
    folders.ended.clear()
    taken(folders, "L4")
    assert {run for _, run in folders.ended} == {"L3"}  # what is over is not looked for again


def test_of_a_run_that_died_before_it_ended_older_jobs_these_are_remembered(
    folders: Folders,
) -> None:
    taken(folders).leave(parked=False)
    dead(folders, "L2")
    broken(folders, "L2", "L3")
    assert folders.ended == {(host, run) for host in "abcd" for run in ("L1", "L2")}


# When a break fails half-way.


def test_a_break_that_was_cut_short_is_gone_on_with(folders: Folders) -> None:
    dead(folders)
    folders.meddle = lost("c", at=TAKING)
    with pytest.raises(ConnectionLost):
        broken(folders, "L1", "B1")
    assert "the lock of run L1 is not broken everywhere" in folders.notes
    folders.meddle = nothing
    with pytest.raises(LockedError) as refused:  # the old run has lost hosts already
        folders.lock().take(holder("L1"))
    assert "`nbops lock break L1` goes on with it" in str(refused.value.problems[0].hint)
    assert broken(folders, "L1", "B2").free
    assert not [record for record in folders.records() if record.held]
    assert taken(folders, "L2").number == 3, "two words are one break"


def test_a_break_can_be_named_as_well_as_the_run_that_it_breaks(folders: Folders) -> None:
    dead(folders)
    folders.meddle = lost("c", at=TAKING)
    with pytest.raises(ConnectionLost):
        broken(folders, "L1", "B1")
    folders.meddle = nothing
    assert broken(folders, "B1", "B2").free
    assert ("a", "L1") in folders.ended


def test_a_repeated_break_ends_the_jobs_that_the_first_could_not(folders: Folders) -> None:
    dead(folders)
    folders.meddle = lost("c", at=ENDING)
    with pytest.raises(ConnectionLost):
        broken(folders, "L1", "B1")
    assert all(record.held for record in folders.records())
    folders.meddle = nothing
    folders.ended.clear()
    assert broken(folders, "L1", "B2").free
    assert {(host, "L1") for host in "abcd"} <= folders.ended


def test_a_break_is_refused_while_one_host_sees_the_heart_beat(folders: Folders) -> None:
    lock = taken(folders)
    folders.silent()
    lock.beat("c")
    with pytest.raises(RefusedError, match="lives: its last sign on c"):
        broken(folders, "L1", "B1")
    with pytest.raises(RefusedError, match="that of run L1, not of `L9`"):
        broken(folders, "L9", "B1")
    assert folders.states() == [(host, 1, "held", "L1") for host in "abcd"]


# The heart.


def test_a_silent_host_leaves_the_others_their_heartbeat() -> None:
    beats: list[str] = []
    back = threading.Event()

    def beat(host: str) -> None:
        beats.append(host)
        if host == "a":
            back.wait(30)

    heart = Heart(beat, lambda: ("a", "b"), STEP)
    heart.start()
    try:
        until(lambda: beats.count("b") > 3)
        assert beats.count("a") == 1
    finally:
        back.set()
        heart.end()


def test_a_run_whose_lock_was_broken_is_stopped_and_told(folders: Folders) -> None:
    lock = taken(folders)
    folders.silent()
    broken(folders, "L1", "B1")
    lock.beat("a")
    assert folders.stop.is_set
    assert isinstance(lock.lost, FenceRefused)
    assert "was taken from this run" in str(lock.lost)
    folders.stop.lift()
    lock.leave(parked=True)  # changes nothing that is another's by now
    assert not [record for record in folders.records() if record.held]


def test_a_beat_that_comes_late_does_not_stop_a_run_that_is_over(folders: Folders) -> None:
    lock = taken(folders)
    lock.leave(parked=False)
    lock.beat("a")
    assert not folders.stop.is_set


def test_a_record_that_another_process_guards_is_told_of(folders: Folders) -> None:
    lock = taken(folders)
    guard = folders.root / "c" / "shop" / "guard"
    with guard.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lock.leave(parked=False)
    assert "the lock stays on c: another process holds the record's `guard`" in folders.notes


def test_a_clock_that_was_set_back_does_not_keep_a_dead_run_alive(folders: Folders) -> None:
    dead(folders)
    folders.silent(-3600)  # the last sign lies an hour ahead
    assert not [record for record in folders.records() if record.beats]
    assert broken(folders, "L1", "B1").free


def test_a_sign_a_little_ahead_of_the_clock_is_one_of_life(folders: Folders) -> None:
    taken(folders)
    folders.silent(-LIFE // 2)
    with pytest.raises(RefusedError, match="lives"):
        broken(folders, "L1", "B1")


# Hosts that are gone.


def test_the_lock_is_had_without_a_host_that_is_gone(folders: Folders) -> None:
    folders.meddle = lost("d")
    lock = taken(folders)
    assert folders.states()[3] == ("d", 0, "free", "")
    assert any("not reached; it has to grant the lock" in note for note in folders.notes)
    lock.leave(parked=False)
    assert not [note for note in folders.notes if "stays" in note]


@pytest.mark.parametrize("gone", ["ab", "abc"])
def test_half_of_the_hosts_are_not_enough(folders: Folders, gone: str) -> None:
    folders.meddle = lost(*gone)
    with pytest.raises(HostUnusable) as refused:
        folders.lock().take(holder("L1"))
    assert "take out of the inventory" in str(refused.value.problems[-1].hint)
    assert not any(record.held for record in folders.records())


def test_a_host_that_comes_back_grants_the_lock_before_a_job_begins_there(
    folders: Folders,
) -> None:
    dead(folders)
    folders.meddle = lost("d")
    assert broken(folders, "L1", "B1").missing == ["d"]
    lock = taken(folders, "L2")
    with pytest.raises(ConnectionLost):
        lock.fence("d")
    folders.meddle = nothing
    folders.ended.clear()
    fence = lock.fence("d")
    assert fence is not None
    assert fence.number == lock.number == 3
    assert folders.states()[3] == ("d", 3, "held", "L2")
    assert ("d", "L1") in folders.ended
    lock.leave(parked=False)
    assert folders.states()[3] == ("d", 3, "free", "L2")


def test_hosts_that_come_back_are_granted_from_within_the_only_workers(folders: Folders) -> None:
    folders.workers = ThreadPoolExecutor(1)
    folders.meddle = lost("c", "d")
    lock = taken(folders, "L1", "a", "b", "c", "d", "e")
    folders.meddle = nothing
    granted = folders.workers.submit(lambda: [lock.fence("c"), lock.fence("d")])
    assert [one.number for one in granted.result(20) if one] == [1, 1]


def test_a_host_that_comes_back_with_a_run_that_lives_is_left_alone(folders: Folders) -> None:
    folders.meddle = lost("d")
    lock = taken(folders)
    folders.meddle = nothing
    taken(folders, "L2", "d")
    with pytest.raises(HostUnusable, match="d came back, but shop is locked"):
        lock.fence("d")
    assert folders.states()[3] == ("d", 1, "held", "L2")


def test_the_record_of_a_host_that_was_away_when_its_run_was_broken_stops_nobody(
    folders: Folders,
) -> None:
    dead(folders)
    folders.meddle = lost("d")
    broken(folders, "L1", "B1")
    folders.meddle = nothing
    assert folders.states()[3] == ("d", 1, "held", "L1")
    folders.ended.clear()
    taken(folders, "L2")
    assert folders.states() == [(host, 3, "held", "L2") for host in "abcd"]
    assert ("d", "L1") in folders.ended


def test_of_a_host_that_was_away_the_older_jobs_are_kept_in_mind(folders: Folders) -> None:
    dead(folders)
    folders.meddle = lost("d")
    broken(folders, "L1", "B1")
    taken(folders, "L2").leave(parked=False)
    folders.ended.clear()
    folders.meddle = nothing
    taken(folders, "L3")
    assert {("d", "L1"), ("d", "L2")} <= folders.ended


def test_a_parked_run_on_most_hosts_is_no_leftover(folders: Folders) -> None:
    taken(folders).leave(parked=True)
    folders.meddle = lost("d")
    lock = taken(folders)
    lock.leave(parked=True)
    folders.meddle = nothing
    with pytest.raises(LockedError, match="run L1"):
        folders.lock().take(holder("L2"))


def test_two_dead_runs_on_different_hosts_are_broken_one_after_the_other(
    folders: Folders,
) -> None:
    for run, host in (("L1", "a"), ("L2", "b")):
        folders.die(taken(folders, run, host))
    assert broken(folders, "L1", "B1").others == ["L2"]
    assert folders.states()[1] == ("b", 1, "held", "L2")
    assert ("a", "L2") not in folders.ended
    assert broken(folders, "L2", "B2").free


def test_a_host_that_refuses_is_not_one_that_is_gone(folders: Folders) -> None:
    (folders.root / "b" / "shop" / "lock").mkdir(parents=True)
    with pytest.raises(ActionFailed, match="b: the lock"):
        folders.lock().take(holder("L1"))


# Runs that start together.


def compete(start: threading.Barrier, locks: dict[str, ClusterLock], run: str) -> str:
    """Take the lock at the same time as the others; gives why it was refused."""
    start.wait(30)
    try:
        locks[run].take(holder(run))
    except LockedError as refused:
        return str(refused)
    return ""


RACES = int(os.environ.get("LOCK_RACES", "10"))


@pytest.mark.parametrize("away", ["", "a"])
def test_of_those_that_start_together_one_wins_and_the_others_name_it(
    folders: Folders, away: str
) -> None:
    folders.meddle = lost(*away)
    for number in range(RACES):
        start = threading.Barrier(3)
        locks = {f"L{number}-{one}": folders.lock() for one in range(3)}

        with ThreadPoolExecutor(3) as computers:
            said = list(computers.map(partial(compete, start, locks), locks))
        (winner,) = [run for run, error in zip(locks, said, strict=True) if not error]
        assert all(f"(run {winner}," in error for error in said if error)
        there = [one for one in folders.records() if one.host != away]
        assert {(one.run, one.held) for one in there} == {(winner, True)}
        locks[winner].leave(parked=False)
