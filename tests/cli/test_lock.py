"""`nbops lock`: what it says of the records that hosts keep."""

import json
from pathlib import Path
from typing import Any

import pytest

from nbops.base.errors import RefusedError
from nbops.cli import lock
from nbops.engine.lock import LIFE, Record, State
from tests.cli.cli_told import Nbops


def held(host: str, age: int = 3) -> Record:
    return Record(
        host=host,
        number=4,
        state=State.HELD,
        run="R1",
        owner="eve@desk",
        command="deploy",
        since="2026-01-02T03:04:05+00:00",
        age=age,
    )


def free(host: str) -> Record:
    return Record(host=host, number=3, run="R0")


class FakeLock:
    """A lock with these records on its hosts."""

    def __init__(self, *records: Record) -> None:
        self.records = records

    def look(self) -> list[Record]:
        return list(self.records)

    def break_lock(self, run: str, holder: Any) -> int:
        assert holder.command == "lock break"
        if run != "R1":
            raise RefusedError(f"the lock is that of run R1, not of `{run}`")
        return 5


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch, local: Path) -> list[Record]:
    found = [held("here"), free("there")]
    monkeypatch.setattr(lock, "_lock", lambda _reached: FakeLock(*found))
    return found


def test_nobody_holds_it() -> None:
    assert lock.summary([free("a"), free("b")]) == "free"


def test_a_run_that_lives_is_named() -> None:
    assert lock.summary([free("a"), held("b", 50), held("c", 3)]) == (
        "held by eve@desk since 2026-01-02T03:04:05+00:00: deploy, run R1, alive"
    )


def test_of_a_run_without_a_sign_the_way_out_is_told() -> None:
    words = lock.summary([held("a", LIFE + 1)])
    assert words.endswith(
        f"interrupted, no sign for {LIFE + 1} s;"
        " `nbops resume`, `nbops abort` or `nbops lock break R1`"
    )


def test_show_tells_what_each_host_knows(nbops: Nbops, records: list[Record]) -> None:
    told = nbops("lock", "show")
    assert told.code == 0
    assert told.out.splitlines()[1:] == [
        "HOST   NUMBER  STATE  LAST RUN  LAST SIGN",
        "here   4       held   R1        3 s ago",
        "there  3       free   R0        -",
    ]


def test_show_as_json_says_whether_the_heart_beats(nbops: Nbops, records: list[Record]) -> None:
    first, second = json.loads(nbops("lock", "show", "--json").out)
    assert (first["run"], first["beats"]) == ("R1", True)
    assert (second["held"], second["beats"]) == (False, False)


def test_break_names_the_run_that_lost_it(nbops: Nbops, records: list[Record]) -> None:
    assert nbops("lock", "break", "R1").out == (
        "the lock of run R1 is broken; the cluster is free\n"
    )


def test_break_of_another_run_is_refused(nbops: Nbops, records: list[Record]) -> None:
    told = nbops("lock", "break", "R9")
    assert told.code == 2
    assert "run R1" in told.err
