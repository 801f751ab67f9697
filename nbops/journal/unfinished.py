"""What the journal knows of a run that did not come to its end."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbops.base.errors import NbopsError
from nbops.base.events import Status
from nbops.journal.store import MACHINE, PROCESS, RETRY, SEALED, Seal, open_database

Place = tuple[str, str, int]


@dataclass(frozen=True)
class Unfinished:
    """A run as far as it came.

    `outcomes` holds what tasks gave, by path, host and pass, as far as it could be kept; `done`
    are all that came to their end, `failed` the items that failed of those that ended badly (-1
    without a loop); `open_effects` the step ids of effects that were begun and have no recorded
    end, `succeeded` of those that ended well; `noted` the numbers of the compensations, by path and
    host, `compensated` those that were done. `undoing` tells that the way back had
    begun, `sealed` that users work with what was done. `processes` are those that carried it
    out, `machines` the machine ids of the hosts that it met, `retries` how often an item was
    tried anew. `number` is the one under which it held the cluster's lock last, 0 when it never
    did.
    """

    run: str
    plan: str
    plan_hash: str
    outcomes: Mapping[Place, Mapping[str, Any]] = field(repr=False)
    done: frozenset[Place] = frozenset()
    failed: Mapping[Place, frozenset[int]] = field(default_factory=dict)
    open_effects: frozenset[str] = frozenset()
    succeeded: frozenset[str] = frozenset()
    noted: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    compensated: frozenset[int] = frozenset()
    undoing: bool = False
    sealed: frozenset[Seal] = frozenset()
    processes: tuple[str, ...] = ()
    machines: Mapping[str, str] = field(default_factory=dict)
    retries: Mapping[tuple[str, str, int, int], int] = field(default_factory=dict)
    number: int = 0


def unfinished(path: Path, run: str) -> Unfinished:
    """Read it. Raises NbopsError when the journal cannot be read, or is damaged anywhere."""
    try:
        with closing(open_database(path)) as database:
            return _read(database, run)
    except (sqlite3.Error, ValueError, IndexError) as error:
        raise _damaged(path, run, str(error)) from error


def processes_of(path: Path, run: str) -> frozenset[str]:
    """The processes that carried out a run so far. Raises NbopsError as `unfinished`."""
    with closing(open_database(path)) as database:
        found = database.execute("SELECT name FROM marks WHERE run=?", (run,)).fetchall()
    return frozenset(name.removeprefix(PROCESS) for (name,) in found if name.startswith(PROCESS))


def _read(database: sqlite3.Connection, run: str) -> Unfinished:
    def rows(sql: str) -> list[Any]:
        return database.execute(sql, (run,)).fetchall()

    checked = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if checked != "ok":
        raise ValueError(checked)
    plan, plan_hash, locked = rows("SELECT plan, plan_hash, number FROM runs WHERE run=?")[0]
    results = rows("SELECT path, host, pass, item, status FROM results WHERE run=?")
    kept = rows("SELECT path, host, pass, outcome FROM outcomes WHERE run=?")
    begun = rows("SELECT step FROM effects WHERE run=? AND ended_at IS NULL")
    good = rows("SELECT step FROM effects WHERE run=? AND ended_at IS NOT NULL AND status=0")
    noted = rows(
        "SELECT number, path, host, done_at FROM compensations WHERE run=? ORDER BY number"
    )
    marks = [name for (name,) in rows("SELECT name FROM marks WHERE run=?")]
    return Unfinished(
        run=run,
        plan=plan,
        plan_hash=plan_hash,
        outcomes={(task, host, number): json.loads(text) for task, host, number, text in kept},
        done=_done(results),
        failed=_failed(results),
        open_effects=frozenset(step for (step,) in begun),
        succeeded=frozenset(step for (step,) in good),
        noted=_noted(noted),
        compensated=frozenset(number for number, *_, done_at in noted if done_at is not None),
        undoing="undoing" in marks,
        sealed=_seals(marks),
        processes=tuple(mark.removeprefix(PROCESS) for mark in marks if mark.startswith(PROCESS)),
        machines=_machines(marks),
        retries=_retries(marks),
        number=int(locked or 0),
    )


def _damaged(path: Path, run: str, why: str) -> NbopsError:
    return NbopsError(
        f"the journal {path} is damaged: {' '.join(why.split())}",
        hint=f"what run {run} did cannot be told from it any more; `nbops lock break {run}`,"
        " then `nbops rollback` or `nbops deploy` go by what the hosts know",
    )


def _noted(rows: Sequence[Any]) -> dict[tuple[str, str], tuple[int, ...]]:
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    for number, path, host, _ in rows:
        found[path, host] = (*found.get((path, host), ()), number)
    return found


def _done(results: Iterable[tuple[str, str, int, int, str]]) -> frozenset[Place]:
    """The tasks that came to their end: without a status is one that was being tried anew."""
    return frozenset(row[:3] for row in results if row[3] < 0 and row[4])


def _failed(results: Iterable[tuple[str, str, int, int, str]]) -> dict[Place, frozenset[int]]:
    """The items that failed of each task whose failure counts."""
    rows = list(results)
    lost = {row[:3] for row in rows if row[3] < 0 and row[4] in {Status.FAILED, Status.UNREACHABLE}}
    found: dict[Place, frozenset[int]] = {}
    for task, host, number, item, status in rows:
        place = (task, host, number)
        if place in lost and status == Status.FAILED:
            found[place] = found.get(place, frozenset()) | {item}
    return found


def _retries(marks: list[str]) -> dict[tuple[str, str, int, int], int]:
    found: dict[tuple[str, str, int, int], int] = {}
    for mark in marks:
        if mark.startswith(RETRY):
            count, item, number, path, host = mark.removeprefix(RETRY).split(" ", 4)
            place = (path, host, int(number), int(item))
            found[place] = max(found.get(place, 0), int(count))
    return found


def _seals(marks: list[str]) -> frozenset[Seal]:
    found = (mark.removeprefix(SEALED).partition(" ") for mark in marks if mark.startswith(SEALED))
    return frozenset(Seal(int(number), door) for number, _, door in found)


def _machines(marks: list[str]) -> dict[str, str]:
    """The machine id of each host."""
    noted = (mark.removeprefix(MACHINE) for mark in marks if mark.startswith(MACHINE))
    pairs = (one.partition(" ") for one in noted)
    return {host: machine for machine, _, host in pairs}
