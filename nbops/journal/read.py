"""Past runs, read from the journal."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nbops.base.errors import UsageError
from nbops.base.yamlpos import did_you_mean
from nbops.journal.store import open_database


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """One run. Times are seconds since the epoch; `exit_code` is None while it is not over."""

    run: str
    command: str
    cluster: str
    operator: str
    inventory: str
    runbook: str
    plan_hash: str
    number: int | None
    started_at: float
    ended_at: float | None
    exit_code: int | None
    message: str

    def as_dict(self) -> dict[str, Any]:
        """The run as plain data."""
        return asdict(self)


_FIELDS = ", ".join(PastRun.__dataclass_fields__)


def history(path: Path, *, cluster: str | None = None, most: int = 50) -> list[PastRun]:
    """The latest runs, newest first; of one cluster when it is named."""
    return _runs(path, "cluster=?", (cluster,), most) if cluster else _runs(path, "1", (), most)


def unfinished_runs(path: Path) -> list[PastRun]:
    """The runs that did not come to their end, newest first. One that was only to say what it
    would change (`--check`) left nothing half-way."""
    check = "CASE WHEN json_valid(plan) THEN ifnull(json_extract(plan, '$.check'), 0) ELSE 0 END"
    return _runs(path, f"ended_at IS NULL AND NOT {check}", (), most=100_000)


def _runs(path: Path, where: str, values: tuple[str, ...], most: int) -> list[PastRun]:
    if not path.exists():
        return []
    # By the order in which they were begun: the clock may have been set back in between.
    sql = f"SELECT {_FIELDS} FROM runs WHERE {where} ORDER BY rowid DESC LIMIT ?"  # noqa: S608 - fixed text
    with closing(open_database(path)) as database:
        database.row_factory = sqlite3.Row
        return [PastRun(**dict(row)) for row in database.execute(sql, (*values, most))]


def find_run(path: Path, name: str) -> PastRun:
    """The run of this id, or of which this is the only beginning.

    Raises UsageError when there is none or more than one.
    """
    runs = history(path, most=100_000)
    found = [one for one in runs if one.run == name] or [
        one for one in runs if one.run.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"`{name}` stands for {len(found)} runs", hint="write more of its name")
    raise UsageError(
        f"there is no run `{name}`",
        hint=did_you_mean(name, (one.run for one in runs)) or "`nbops history` lists them",
    )


def latest_run(path: Path) -> PastRun:
    """The run that began last. Raises UsageError when there is none."""
    runs = history(path, most=1)
    if not runs:
        raise UsageError("no run was made from this computer yet", hint="see `nbops history`")
    return runs[0]


def not_undone(path: Path, run: str) -> list[tuple[str, str]]:
    """What a run that turned back has not undone yet, the next first: each the place of a step
    in the plan, and a host. Nothing for a run that did not turn back."""
    sql = (
        "SELECT path, host FROM compensations WHERE run=? AND done_at IS NULL AND EXISTS"
        " (SELECT 1 FROM marks WHERE run=? AND name='undoing') ORDER BY number DESC"
    )
    with closing(open_database(path)) as database:
        return [(place, host) for place, host in database.execute(sql, (run, run))]


def events(path: Path, run: str) -> Iterator[dict[str, Any]]:
    """The events of a run in order, as `--json` printed them."""
    with closing(open_database(path)) as database:
        rows = database.execute("SELECT event FROM events WHERE run=? ORDER BY number", (run,))
        for (text,) in rows:
            yield json.loads(text)
