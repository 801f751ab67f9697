"""Hosts for the lock: folders of this machine, each with a real shell on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from nbops.base.command import LOGIN, Command, Outcome
from nbops.base.errors import ConnectionLost
from nbops.base.events import Bus, Event, Note
from nbops.base.retry import Stop
from nbops.base.secret import Masker
from nbops.engine.lock import ClusterLock
from nbops.engine.lockhosts import LockHosts
from nbops.engine.lockrecord import FOLDER, Holder, Record
from nbops.transport.endpoint import Endpoint
from nbops.transport.pool import Pool

Meddle = Callable[[str, str], None]


def nothing(host: str, script: str) -> None:
    """Meddles with nothing."""
    del host, script


def lost(*hosts: str, at: str = "") -> Meddle:
    """The connection with these hosts is lost at each script that has `at` in it."""

    def meddle(host: str, script: str) -> None:
        if host in hosts and at in script:
            raise ConnectionLost(f"{host}: gone")

    return meddle


TAKING, ENDING = "mkdir -p", "/runner"


@dataclass
class Folders:
    """Hosts whose /var/lib/nbops is a folder each below `root`.

    `meddle` is called before each script, with the host and the script's text.
    """

    root: Path
    hosts: tuple[str, ...] = ("a", "b", "c", "d")
    meddle: Meddle = nothing
    stop: Stop = field(default_factory=Stop)
    events: list[Event] = field(default_factory=list)
    ended: set[tuple[str, str]] = field(default_factory=set)
    workers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8))

    def __post_init__(self) -> None:
        self._pool = Pool("R", stop=self.stop, emit=Bus([], Masker()))
        self._locks: list[ClusterLock] = []

    def session(self, host: str) -> OneHost:
        return OneHost(self, host, self._pool)

    def keepers(self, *hosts: str) -> LockHosts:
        return LockHosts(
            "shop",
            hosts or self.hosts,
            self,  # type: ignore[arg-type]  # it has all that the lock asks of connections
            lambda _host: LOGIN,
            self.events.append,
            self.workers,
        )

    def lock(self, *hosts: str) -> ClusterLock:
        lock = ClusterLock(self.keepers(*hosts), self.stop)
        self._locks.append(lock)
        return lock

    def records(self) -> list[Record]:
        meddle, self.meddle = self.meddle, nothing
        try:
            return list(self.keepers().look().records)
        finally:
            self.meddle = meddle

    def states(self) -> list[tuple[str, int, str, str]]:
        return [(one.host, one.number, str(one.state), one.run) for one in self.records()]

    def silent(self, seconds: int = 300) -> None:
        """The last heartbeat on every host was so long ago."""
        then = time.time() - seconds
        for path in self.root.glob("*/shop/lock"):
            os.utime(path, (then, then))

    def die(self, lock: ClusterLock) -> None:
        """The computer that holds the lock is gone, long ago."""
        lock.heart.end()
        self.silent()

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Note)]

    def close(self) -> None:
        self.meddle = nothing
        for lock in self._locks:
            lock.heart.end()
        self.workers.shutdown()
        self._pool.close()


@dataclass
class OneHost:
    """A session with one of them."""

    hosts: Folders
    name: str
    pool: Pool

    def run(self, command: Command) -> Outcome:
        self.hosts.meddle(self.name, command.text())
        text = command.text().replace(FOLDER, str(self.hosts.root / self.name))
        if ENDING in text:
            self.hosts.ended.add((self.name, text.split("/run-")[1].split(ENDING)[0]))
        endpoint = Endpoint(name=self.name, address="localhost", connection="local")
        return self.pool.session(endpoint).run(replace(command, script=text))


def holder(run: str, command: str = "upgrade") -> Holder:
    return Holder(run, f"eve@{run}", command, "2026-01-02T03:04:05+00:00")
