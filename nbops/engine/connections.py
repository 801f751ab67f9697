"""The sessions of a run, by the names of hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from nbops.base.command import Identity
from nbops.base.errors import HostUnusable
from nbops.transport.endpoint import Endpoint
from nbops.transport.session import Session


class SessionPool(Protocol):
    """Where sessions come from: `transport.pool.Pool`."""

    def session(self, endpoint: Endpoint) -> Session:
        """The session with this host, connected when it is first used."""

    def connect_all(
        self,
        endpoints: Sequence[Endpoint],
        forks: int,
        identities: Mapping[str, Identity] | None = None,
    ) -> list[HostUnusable]:
        """Connect to all of them side by side, and be each one's identity as well where one is
        given; gives one error for each that cannot be used."""

    def close(self, *, sweep: bool = False) -> None:
        """End all sessions; with `sweep`, remove the run's folders on the hosts first."""


class Connections:
    """Hosts by their inventory names, each with its session."""

    def __init__(self, pool: SessionPool, endpoint_of: Callable[[str], Endpoint]) -> None:
        self._pool = pool
        self._endpoint_of = endpoint_of
        self._endpoints: dict[str, Endpoint] = {}

    def session(self, host: str) -> Session:
        """The session with a host; any number of threads may use it."""
        return self._pool.session(self._endpoint(host))

    def connect_all(
        self, hosts: Sequence[str], forks: int, identity_of: Callable[[str], Identity]
    ) -> list[HostUnusable]:
        """Connect to all hosts side by side, and become each one's identity once; gives one
        error for each host that cannot be used."""
        endpoints = [self._endpoint(host) for host in hosts]
        identities = {host: identity_of(host) for host in hosts}
        return self._pool.connect_all(endpoints, forks, identities)

    def close(self, *, sweep: bool) -> None:
        """End all sessions."""
        self._pool.close(sweep=sweep)

    def _endpoint(self, host: str) -> Endpoint:
        known = self._endpoints.get(host)
        if known is None:
            known = self._endpoints[host] = self._endpoint_of(host)
        return known
