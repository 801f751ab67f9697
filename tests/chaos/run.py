"""nbops as it is, killed at a point: `CHAOS_AT=POINT python -m tests.chaos.run ARGUMENTS…`.

Points lie where the journal calls SQLite, where the engine calls a session for an effect, and
where the lock talks to a host: before and after each, and while a job runs. What is written
together has a point for each of its writes, which are one moment. `CHAOS_AT` is a point's name;
`~` and a part of it; the number of a moment; or `new`: the first point at which nothing was killed
yet, as the file `CHAOS_KILLED` says. There the process sends itself SIGKILL; what is never reached
kills nothing. Between the moment after something and the next one nothing is written or done, so
who is killed at the next one was killed at both. Each moment is a line in the file `CHAOS_LOG`.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nbops.base.command import Command, Effect
from nbops.engine.context import StepContext
from nbops.engine.heart import NAME as HEARTBEAT
from nbops.engine.lockhosts import LockHosts
from nbops.journal.store import Journal
from nbops.transport.host import HostSession
from tests.chaos.series import BETWEEN

AMID = (0.02, 0.1, 0.4)  # seconds after the beginning of a job, in turn
_EVENT = ("kind", "step", "host", "status", "item", "attempt")
_LONG = 100
_VOLATILE = re.compile(r'[{\["]|\d{8}T')  # documents, and the name of the run
_OF_COMMAND = re.compile(r"(?<=p\d)-[0-9a-f]{8}\b")  # a step's id tells its texts apart
_OWN = re.compile(r"(?<=^process ).*|\b[0-9a-f]{32}\b")  # a process, a machine
_OF_RECORD = re.compile(r"'[^']*'|\S*[/0-9]\S*")


class Points:
    """Counts them, writes them down, and kills at the chosen one."""

    def __init__(self, at: str, log: Path | None, killed: Path | None) -> None:
        self._at = at
        self._log = log
        self._killed = killed
        self._met = frozenset(killed.read_text().splitlines()) if killed else frozenset()
        self._turn = threading.Lock()
        self._count = itertools.count(1)
        self._jobs = itertools.count()
        self._just_done: list[str] = []
        self._staged: Counter[str] = Counter()

    def pass_by(self, *names: str) -> None:
        """A moment, with all its points."""
        if self._next(names):
            _die()

    def amid(self, name: str) -> None:
        """A point that lies a little later than this moment."""
        delay = AMID[next(self._jobs) % len(AMID)]
        if self._next([f"amid {name}"]):
            timer = threading.Timer(delay, _die)
            timer.daemon = True
            timer.start()

    def around(self, call: Callable[[], Any], *names: str, job: bool = False) -> Any:
        """A call with points before it and after it; without a name it has none."""
        if not names:
            return call()
        self.pass_by(*(f"before {name}" for name in names))
        if job:
            self.amid(names[0])
        given = call()
        self.pass_by(*(f"after {name}" for name in names))
        return given

    def file(self, step: str) -> str:
        """The name of the next file that a step puts on its host: by its order, since the content
        is another one in each cluster."""
        with self._turn:
            self._staged[step] += 1
            return f"file {step} {self._staged[step]}"

    def _next(self, names: Sequence[str]) -> bool:
        names = [_OF_COMMAND.sub("", name) for name in names]
        with self._turn:
            number = next(self._count)
            if self._log is not None:
                _append(self._log, BETWEEN.join(names))
            chosen = self._is_chosen(number, names)
            if chosen and self._killed is not None:
                _append(self._killed, *names, *self._just_done)
            self._just_done = [name for name in names if name.startswith("after ")]
            return chosen

    def _is_chosen(self, number: int, names: Sequence[str]) -> bool:
        if self._at == "new":
            return not self._met.issuperset(names)
        if self._at.startswith("~"):
            return any(self._at[1:] in name for name in names)
        return self._at in names or self._at == str(number)


def _append(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def _written(sql: str, values: tuple[Any, ...]) -> str:
    """What is written, without times, numbers and documents: the same in every run."""
    table = " ".join(sql.split()[:6])
    if " events " in table:
        event = json.loads(values[-1])
        return " ".join(["event", *(str(event.get(name)) for name in _EVENT)])
    if " runs " in table:
        return table
    if table.startswith("UPDATE compensations"):
        return f"{table} {values[-1]}"
    told = (one for one in values if isinstance(one, str) and len(one) < _LONG)
    return " ".join([table, *(_OWN.sub("", one) for one in told if not _VOLATILE.match(one))])


def _names_of(writes: list[Any]) -> dict[str, None]:
    """Each once; there is none where the journal is only waited for."""
    return dict.fromkeys(f"journal {_written(one.sql, one.values)}" for one in writes if one.sql)


def _kind(text: str) -> str:
    """Tells the lock's scripts apart, whatever run, cluster and holder they bear."""
    return f"{zlib.crc32(_OF_RECORD.sub('', text).encode()):08x}"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def install(points: Points) -> None:
    """Put points around everything that nbops does to a disk or to a host."""
    commit, run, kill = Journal._commit, HostSession.run, HostSession.kill
    close, ask = HostSession.close, LockHosts.run

    def commit_(self: Journal, writes: list[Any]) -> None:
        points.around(lambda: commit(self, writes), *_names_of(writes))

    def run_(self: HostSession, command: Command, watch: Any = None) -> Any:
        if command.effect is Effect.NONE:
            return run(self, command, watch)
        what = f"job {command.step}"
        return points.around(lambda: run(self, command, watch), what, job=True)

    def kill_(self: HostSession, *arguments: Any) -> Any:
        return points.around(lambda: kill(self, *arguments), f"kill {self.host}")

    def close_(self: HostSession, *, sweep: bool = False) -> Any:
        return points.around(lambda: close(self, sweep=sweep), f"sweep {self.host}")

    def ask_(self: LockHosts, host: str, script: str, identity: Any) -> Any:
        if threading.current_thread().name.startswith(HEARTBEAT):
            return ask(self, host, script, identity)
        what = f"lock {host} {_kind(script)}"
        return points.around(lambda: ask(self, host, script, identity), what)

    patched: Any = (
        (Journal, "_commit", commit_),
        (HostSession, "run", run_),
        (HostSession, "kill", kill_),
        (HostSession, "close", close_),
        (LockHosts, "run", ask_),
        *_around_files(points),
    )
    for owner, name, function in patched:
        setattr(owner, name, function)


def _around_files(points: Points) -> Any:
    """Points around each file that is put on a host; who knows its step is asked before."""
    stage, of_step, whose = HostSession.stage, StepContext.stage, threading.local()

    def of_step_(self: StepContext, content: bytes | Path) -> Any:
        whose.step = str(self.step)
        return of_step(self, content)

    def stage_(self: HostSession, *arguments: Any) -> Any:
        what = points.file(f"{self.host} {getattr(whose, 'step', '')}")
        return points.around(lambda: stage(self, *arguments), what)

    return (HostSession, "stage", stage_), (StepContext, "stage", of_step_)


def main() -> None:
    """Run the command line."""
    from nbops.cli.main import main as nbops

    log, killed = (os.environ.get(name) for name in ("CHAOS_LOG", "CHAOS_KILLED"))
    at = os.environ.get("CHAOS_AT", "")
    install(Points(at, Path(log) if log else None, Path(killed) if killed else None))
    nbops()


if __name__ == "__main__":
    sys.argv[0] = "nbops"
    main()
