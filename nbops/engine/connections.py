"""The sessions of a run: one a host, used by one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from nbops.base.errors import HostUnusable
from nbops.transport.endpoint import Endpoint
from nbops.transport.session import Session


class SessionPool(Protocol):
    """Where sessions come from: `transport.pool.Pool`."""

    def session(self, endpoint: Endpoint) -> Session:
        """The session with this host, connected when it is first used."""

    def connect_all(self, endpoints: Sequence[Endpoint], forks: int) -> list[HostUnusable]:
        """Connect to all of them side by side; gives one error for each that cannot be used."""

    def close(self, *, sweep: bool = False) -> None:
        """End all sessions; with `sweep`, remove the run's folders on the hosts first."""


class Connections:
    """Hosts by their inventory names, each with its session and its turn."""

    def __init__(self, pool: SessionPool, endpoint_of: Callable[[str], Endpoint]) -> None:
        self._pool = pool
        self._endpoint_of = endpoint_of
        self._turns: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    @contextmanager
    def session(self, host: str) -> Iterator[Session]:
        """The session with a host, for this thread alone until the block ends."""
        with self._guard:
            turn = self._turns.setdefault(host, threading.Lock())
        with turn:
            yield self._pool.session(self._endpoint_of(host))

    def connect_all(self, hosts: Sequence[str], forks: int) -> list[HostUnusable]:
        """Connect to all hosts side by side; gives one error for each that cannot be used."""
        return self._pool.connect_all([self._endpoint_of(host) for host in hosts], forks)

    def close(self, *, sweep: bool) -> None:
        """End all sessions."""
        self._pool.close(sweep=sweep)
