"""`nbops lock`: what it says of the records that hosts keep."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbops.cli import lock
from nbops.engine.lockrecord import LIFE, Record, State
from tests.cli.cli_told import Nbops
from tests.engine.lock_hosts import ENDING, Folders, holder, lost, nothing


def held(host: str, age: int = 3, **different: str) -> Record:
    known = {
        "run": "L1",
        "owner": "eve@desk",
        "command": "deploy",
        "since": "2026-01-02T03:04:05+00:00",
    }
    return Record(host=host, number=4, state=State.HELD, age=age, **(known | different))  # type: ignore[arg-type]


def free(host: str) -> Record:
    return Record(host=host, number=3, run="L0")


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, local: Path, tmp_path: Path) -> Iterator[Folders]:
    """Hosts that the commands meet instead of those of the inventory."""
    made = Folders(tmp_path / "hosts", hosts=("here", "more", "there"))
    monkeypatch.setattr(lock, "_keepers", lambda _reached: made.keepers())
    yield made
    made.close()


def test_nobody_holds_it() -> None:
    assert lock.summary([free("a"), free("b")]) == "free"


def test_a_run_that_lives_is_named() -> None:
    assert lock.summary([free("a"), held("b", 50), held("c", 3)]) == (
        "held by eve@desk since 2026-01-02T03:04:05+00:00: deploy, run L1, alive"
    )


def test_of_a_run_without_a_sign_the_way_out_is_told() -> None:
    words = lock.summary([held("a", LIFE + 1)])
    assert words.endswith(
        f"interrupted, no sign for {LIFE + 1} s;"
        " `nbops resume`, `nbops abort` or `nbops lock break L1`"
    )


def test_of_a_break_that_was_cut_short_it_is_told_how_to_go_on() -> None:
    words = lock.summary([held("a", LIFE + 1, run="B1", command="lock break", breaks="L1")])
    assert words.endswith("; `nbops lock break L1` goes on with it")


def test_show_tells_what_each_host_knows(nbops: Nbops, folders: Folders) -> None:
    lock_of_run = folders.lock("here", "more")
    lock_of_run.take(holder("L1"))
    folders.die(lock_of_run)
    folders.meddle = lost("more")
    told = nbops("lock", "show")
    assert told.code == 0
    assert re.sub(r"3\d\d s ago", "300 s ago", told.out).splitlines()[1:] == [
        "HOST   NUMBER  STATE        LAST RUN  LAST SIGN",
        "here   1       held         L1        300 s ago",
        "there  0       free         -         -",
        "more   -       unreachable  -         -",
    ]


def test_show_as_json_says_whether_the_heart_beats(nbops: Nbops, folders: Folders) -> None:
    folders.lock("here").take(holder("L1"))
    folders.meddle = lost("there")
    first, second, third = json.loads(nbops("lock", "show", "--json").out)
    assert (first["run"], first["beats"]) == ("L1", True)
    assert (second["held"], second["beats"]) == (False, False)
    assert (third["host"], third["state"]) == ("there", "unreachable")


def test_break_names_the_run_that_lost_it(nbops: Nbops, folders: Folders) -> None:
    lock_of_run = folders.lock()
    lock_of_run.take(holder("L1"))
    folders.die(lock_of_run)
    assert nbops("lock", "break", "L1").out == (
        "the lock of run L1 is broken; the cluster is free\n"
        "`nbops status` tells what is left to be done\n"
    )


def test_break_of_another_run_is_refused(nbops: Nbops, folders: Folders) -> None:
    folders.lock().take(holder("L1"))
    told = nbops("lock", "break", "L9")
    assert told.code == 2
    assert "run L1" in told.err


def test_break_goes_on_without_a_host_that_is_gone_and_names_it(
    nbops: Nbops, folders: Folders
) -> None:
    lock_of_run = folders.lock()
    lock_of_run.take(holder("L1"))
    folders.die(lock_of_run)
    folders.meddle = lost("there")
    told = nbops("lock", "break", "L1")
    assert told.code == 0
    assert told.out.startswith(
        "the lock of run L1 is broken; the cluster is free\n"
        "`nbops status` tells what is left to be done\nnot reached: there."
    )
    assert "take it out of the inventory" in told.out


def test_a_break_that_fails_half_way_says_how_to_go_on(nbops: Nbops, folders: Folders) -> None:
    lock_of_run = folders.lock()
    lock_of_run.take(holder("L1"))
    folders.die(lock_of_run)
    folders.meddle = lost("more", at=ENDING)
    assert nbops("lock", "break", "L1").code == 1
    folders.meddle = nothing
    assert "`nbops lock break L1` goes on with it" in nbops("lock", "show").out
    assert nbops("lock", "break", "L1").out.startswith(
        "the lock of run L1 is broken; the cluster is free\n"
    )
