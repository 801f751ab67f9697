"""The journal of runs: an intent is on disk before the effect, a result before what needs it.

SQLite with a write-ahead log and `synchronous=FULL`. One thread writes: whatever waits while
a commit is under way goes into the next one together, so a wave of hosts costs one commit.
Entries are written in the order in which they were handed over; a result therefore needs no
wait of its own, since the next intent's commit includes it.
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nbops.base.errors import NbopsError
from nbops.base.events import Event
from nbops.base.ids import StepId
from nbops.base.secret import Secret
from nbops.journal.schema import FORMAT, STEPS

_LAST_EVENT = "SELECT MAX(number) FROM events WHERE run=?"
_LAST_COMPENSATION = "SELECT MAX(number) FROM compensations WHERE run=?"
PROCESS, MACHINE = "process ", "machine "  # what marks begin with that name one
RETRY = "again "
SEALED = "sealed "
_BUSY_MS = 10_000
_WRITE_DEADLINE = 60.0


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """What is known of a run when it begins. `plan` holds no secrets."""

    run: str
    command: str
    cluster: str
    operator: str
    inventory: str
    runbook: str
    plan_hash: str
    plan: str = ""


class Seal(NamedTuple):
    """Users are let in through a door: compensations up to this number are not done any more."""

    number: int
    door: str

    @property
    def mark(self) -> str:
        """Its name among the marks of a run."""
        return f"{SEALED}{self.number} {self.door}"


@dataclass(frozen=True, slots=True)
class _Write:
    sql: str
    values: tuple[Any, ...]
    done: Future[None] | None


def journal_path() -> Path:
    """Where the journal of this user stands: `$XDG_STATE_HOME/nbops/journal.db`."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "nbops" / "journal.db"


def as_json(value: Any) -> str:
    """Data as JSON; secrets masked, bytes and other objects as text."""

    def plain(item: Any) -> Any:
        if isinstance(item, Secret):
            return str(item)
        if isinstance(item, bytes):
            return item.decode("utf-8", "replace")
        if isinstance(item, Mapping):
            return dict(item)
        if isinstance(item, set | frozenset | tuple):
            return list(item)
        return str(item)

    text = json.dumps(value, ensure_ascii=False, default=plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a letter, as file names may hold it: written as a number
        return json.dumps(value, default=plain)
    return text


def open_database(path: Path) -> sqlite3.Connection:
    """Open the journal, making it when it is not there.

    Raises NbopsError when it cannot be opened, is damaged, or has another format.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            path.touch(mode=0o600)
        database = sqlite3.connect(path, timeout=_BUSY_MS / 1000, check_same_thread=False)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA foreign_keys=ON")
        with database:
            database.execute("BEGIN IMMEDIATE")
            found = database.execute("PRAGMA user_version").fetchone()[0]
            if found < FORMAT:
                _bring_up(database, found)
                found = FORMAT
    except (sqlite3.Error, OSError) as error:
        raise NbopsError(
            f"the journal {path} cannot be used: {error}",
            hint="free space or mend the file's owner; a damaged journal may be moved away "
            "when no interrupted run needs it",
        ) from error
    if found != FORMAT:
        database.close()
        raise NbopsError(
            f"the journal {path} has format {found}, this nbops writes {FORMAT}",
            hint="use the nbops that wrote it, or set XDG_STATE_HOME to another folder",
        )
    return database


def _bring_up(database: sqlite3.Connection, found: int) -> None:
    """Make the tables, or bring those of an older format to the present one."""
    for texts in STEPS[found:]:
        for statement in ";\n".join(texts).split(";\n"):
            database.execute(statement)
    database.execute(f"PRAGMA user_version={FORMAT}")


class Journal:
    """Writes what a run is about to do and what came of it.

    With `again` the run is in the journal already, and goes on. `touched` tells whether any
    effect was begun.
    """

    def __init__(self, path: Path, entry: RunEntry, *, again: bool = False) -> None:
        self.path = path
        self.run = entry.run
        self.touched = again
        self._database = open_database(path)
        self._files = _files(path)
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._broken: NbopsError | None = None
        self._numbers = threading.Lock()
        self._events = self._last(_LAST_EVENT) if again else 0
        self._compensations = self._last(_LAST_COMPENSATION) if again else 0
        self._writer = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._writer.start()
        if again:
            return
        self._put(
            "INSERT INTO runs (run, command, cluster, operator, inventory, runbook, plan_hash,"
            " plan, started_at) VALUES (?,?,?,?,?,?,?,?,?)",
            (
                entry.run,
                entry.command,
                entry.cluster,
                entry.operator,
                entry.inventory,
                entry.runbook,
                entry.plan_hash,
                entry.plan,
                time.time(),
            ),
            wait=True,
        )

    def intend(self, step: StepId, action: str, effect: str) -> None:
        """Note that this effect is about to begin; returns when that is on disk."""
        self.touched = True
        self._put(
            "INSERT INTO effects (run, step, host, action, effect, intended_at)"
            " VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            (self.run, str(step), step.host, action, effect, time.time()),
            wait=True,
        )

    def conclude(self, step: StepId | str, status: int) -> None:
        """Note that the effect has ended with this exit status."""
        self._put(
            "UPDATE effects SET ended_at=?, status=? WHERE run=? AND step=?",
            (time.time(), status, self.run, str(step)),
        )

    def sync(self) -> None:
        """Returns when all that was noted so far is on disk."""
        self._put("", (), wait=True)

    def result(self, step: StepId, pass_number: int, status: str, masked: Any) -> None:
        """Note what came of a task on a host; `masked` holds no secrets any more."""
        self._put(
            "INSERT OR REPLACE INTO results (run, path, host, item, pass, status, result, ended_at)"
            " VALUES (?,?,?,?,?,?,?,?)",
            (
                self.run,
                step.path,
                step.host,
                step.item,
                pass_number,
                status,
                as_json(masked),
                time.time(),
            ),
        )

    def outcome(self, path: str, host: str, pass_number: int, document: Any) -> None:
        """Note all that a task gave on a host, so that it need not be done again."""
        self._put(
            "INSERT OR REPLACE INTO outcomes (run, path, host, pass, outcome) VALUES (?,?,?,?,?)",
            (self.run, path, host, pass_number, as_json(document)),
        )

    def retried(self, path: str, host: str, pass_number: int, counts: Mapping[int, int]) -> None:
        """Note that a task is tried anew, how often by item, before its next effect begins."""
        for item, count in counts.items():
            self._mark(f"{RETRY}{count} {item} {pass_number} {path} {host}")
        place = (self.run, path, host, pass_number)
        self._put("DELETE FROM outcomes WHERE run=? AND path=? AND host=? AND pass=?", place)
        for item in {*counts, -1}:  # the failure of then counts no more
            self._put(
                "UPDATE results SET status='' WHERE run=? AND path=? AND host=? AND pass=?"
                " AND item=?",
                (*place, item),
            )

    def note_compensation(self, path: str, host: str, masked_variables: Any) -> int:
        """Note, on disk, what would undo a step that is about to begin; gives its number."""
        with self._numbers:
            self._compensations += 1
            number = self._compensations
        self._put(
            "INSERT INTO compensations (run, number, path, host, variables, noted_at)"
            " VALUES (?,?,?,?,?,?)",
            (self.run, number, path, host, as_json(masked_variables), time.time()),
            wait=True,
        )
        return number

    def mark(self, name: str) -> None:
        """Note, on disk, that the run has come to a turn: `undoing`, or a seal."""
        self._mark(name, wait=True)

    def unmark(self, name: str) -> None:
        """Take that back, on disk."""
        self._put("DELETE FROM marks WHERE run=? AND name=?", (self.run, name), wait=True)

    def machine(self, host: str, machine: str) -> None:
        """Note which machine a host is, in place of what was noted; on disk before the next
        effect on it begins."""
        self._put(
            "DELETE FROM marks WHERE run=? AND name LIKE ? AND substr(name, ?)=?",
            (self.run, f"{MACHINE}%", len(f"{MACHINE}{machine} ") + 1, host),
        )
        self._mark(f"{MACHINE}{machine} {host}")

    def compensated(self, number: int) -> None:
        """Note that this compensation is done."""
        self._put(
            "UPDATE compensations SET done_at=? WHERE run=? AND number=?",
            (time.time(), self.run, number),
        )

    def lock_number(self, number: int) -> None:
        """Note the number under which the run holds the cluster."""
        self._put("UPDATE runs SET number=? WHERE run=?", (number, self.run), wait=True)

    def on_event(self, event: Event) -> None:
        """Keep an event (already masked) for `history`, `show` and `report`."""
        if self._broken is None:
            with self._numbers:
                self._events += 1
                number = self._events
            self._put(
                "INSERT INTO events (run, number, event) VALUES (?,?,?)",
                (self.run, number, as_json(event.as_dict())),
            )

    def end(self, exit_code: int, message: str) -> None:
        """Note the end of the run."""
        self._put(
            "UPDATE runs SET ended_at=?, exit_code=?, message=? WHERE run=?",
            (time.time(), exit_code, message, self.run),
            wait=True,
        )

    def leave(self, exit_code: int, message: str) -> None:
        """Note that the run stopped before its end: it can be resumed."""
        self._put(
            "UPDATE runs SET exit_code=?, message=? WHERE run=?",
            (exit_code, message, self.run),
            wait=True,
        )

    def close(self) -> None:
        """Write what is left and close the file."""
        self._queue.put(None)
        self._writer.join(_WRITE_DEADLINE)
        self._database.close()

    def _mark(self, name: str, *, wait: bool = False) -> None:
        sql = "INSERT OR IGNORE INTO marks (run, name) VALUES (?,?)"
        self._put(sql, (self.run, name), wait=wait)

    def _last(self, sql: str) -> int:
        return int(self._database.execute(sql, (self.run,)).fetchone()[0] or 0)

    def _put(self, sql: str, values: tuple[Any, ...], *, wait: bool = False) -> None:
        if self._broken is not None:
            raise self._broken
        done: Future[None] | None = Future() if wait else None
        self._queue.put(_Write(sql, values, done))
        if done is not None:
            try:
                done.result(_WRITE_DEADLINE)
            except TimeoutError:
                raise self._fault(f"no answer from the disk for {_WRITE_DEADLINE:g} s") from None

    def _write_all(self) -> None:
        ended = False
        while not ended:
            writes = [self._queue.get()]
            while not self._queue.empty():
                writes.append(self._queue.get())
            ended = None in writes
            self._commit([write for write in writes if write is not None])

    def _commit(self, writes: list[_Write]) -> None:
        try:
            if self._broken is not None:
                raise self._broken
            if _files(self.path) != self._files:
                raise self._fault("it was removed or replaced")
            with self._database:
                for write in writes:
                    if write.sql:
                        self._database.execute(write.sql, write.values)
        except (sqlite3.Error, ValueError, OverflowError, NbopsError) as error:
            self._broken = self._broken or self._fault(str(error))
        for write in writes:
            if write.done is not None:
                if self._broken is not None:
                    write.done.set_exception(self._broken)
                else:
                    write.done.set_result(None)

    def _fault(self, why: str) -> NbopsError:
        return NbopsError(
            f"the journal {self.path} cannot be written: {why}",
            hint="nothing further was begun; free space, then go on with `nbops resume`",
        )


def _files(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """What tells whether the journal and its log are still the files that were opened: SQLite
    goes on writing to those when they were removed, and nobody could resume the run then."""
    return tuple(_file(one) for one in (path, path.with_name(f"{path.name}-wal")))


def _file(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
