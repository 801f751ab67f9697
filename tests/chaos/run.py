"""nbops as it is, killed at a point: `CHAOS_AT=N python -m tests.chaos.run ARGUMENTS…`.

Points are counted where the journal calls SQLite, where the engine calls a session for an
effect, and where the lock talks to a host: before and after each, and while a job runs. At
point `CHAOS_AT` the process sends itself SIGKILL; it is a number, or words that the point's name
has in it. 0, or what is never reached, kills nothing. Each point is a line in the file `CHAOS_LOG`.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbops.base.command import Command, Effect
from nbops.engine.heart import NAME as HEARTBEAT
from nbops.engine.lockhosts import LockHosts
from nbops.journal.store import Journal
from nbops.transport.host import HostSession

AMID = (0.02, 0.1, 0.4)  # seconds after the beginning of a job, in turn


class Points:
    """Counts them, writes them down, and kills at the chosen one."""

    def __init__(self, at: str, log: Path | None) -> None:
        self._at = at
        self._log = log
        self._turn = threading.Lock()
        self._count = itertools.count(1)
        self._jobs = itertools.count()

    def pass_by(self, what: str) -> None:
        """A point."""
        if self._next(what):
            _die()

    def amid(self, what: str) -> None:
        """A point that lies a little later than this moment."""
        delay = AMID[next(self._jobs) % len(AMID)]
        if self._next(f"amid {what}"):
            timer = threading.Timer(delay, _die)
            timer.daemon = True
            timer.start()

    def around(self, what: str, call: Callable[[], Any], *, job: bool = False) -> Any:
        """A call with a point before it and one after it."""
        self.pass_by(f"before {what}")
        if job:
            self.amid(what)
        given = call()
        self.pass_by(f"after {what}")
        return given

    def _next(self, what: str) -> bool:
        with self._turn:
            number = next(self._count)
            if self._log is not None:
                with self._log.open("a") as file:
                    file.write(f"{number} {what}\n")
            return str(number) == self._at or (not self._at.isdigit() and self._at in what)


def _is_turn(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("sealed ", "undoing"))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def install(points: Points) -> None:
    """Put points around everything that nbops does to a disk or to a host."""
    commit, run, stage = Journal._commit, HostSession.run, HostSession.stage
    kill, close, ask = HostSession.kill, HostSession.close, LockHosts.run

    def commit_(self: Journal, writes: list[Any]) -> None:
        table = " ".join(dict.fromkeys(" ".join(one.sql.split()[:6]) for one in writes))
        turns = [str(value) for one in writes for value in one.values if _is_turn(value)]
        points.around(" ".join(["journal", table, *turns]), lambda: commit(self, writes))

    def run_(self: HostSession, command: Command, watch: Any = None) -> Any:
        if command.effect is Effect.NONE:
            return run(self, command, watch)
        what = f"job {command.step}"
        return points.around(what, lambda: run(self, command, watch), job=True)

    def stage_(self: HostSession, *arguments: Any) -> Any:
        return points.around(f"file {self.host}", lambda: stage(self, *arguments))

    def kill_(self: HostSession, *arguments: Any) -> Any:
        return points.around(f"kill {self.host}", lambda: kill(self, *arguments))

    def close_(self: HostSession, *, sweep: bool = False) -> Any:
        return points.around(f"sweep {self.host}", lambda: close(self, sweep=sweep))

    def ask_(self: LockHosts, host: str, script: str, identity: Any) -> Any:
        if threading.current_thread().name.startswith(HEARTBEAT):
            return ask(self, host, script, identity)
        return points.around(f"lock {host}", lambda: ask(self, host, script, identity))

    patched: Any = (
        (Journal, "_commit", commit_),
        (HostSession, "run", run_),
        (HostSession, "stage", stage_),
        (HostSession, "kill", kill_),
        (HostSession, "close", close_),
        (LockHosts, "run", ask_),
    )
    for owner, name, function in patched:
        setattr(owner, name, function)


def main() -> None:
    """Run the command line."""
    from nbops.cli.main import main as nbops

    log = os.environ.get("CHAOS_LOG")
    install(Points(os.environ.get("CHAOS_AT", "0"), Path(log) if log else None))
    nbops()


if __name__ == "__main__":
    sys.argv[0] = "nbops"
    main()
