"""Hosts within reach, for commands that ask or act without a runbook."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from nbops.base.command import LOGIN, Identity
from nbops.base.errors import HostUnusable, RefusedError
from nbops.base.events import Bus, Observer
from nbops.base.ids import new_run_id
from nbops.base.retry import Stop
from nbops.cli.cluster import Cluster
from nbops.cli.extra import extra_vars
from nbops.cli.faults import masked
from nbops.cli.options import Output, Target
from nbops.engine.connections import Connections
from nbops.engine.run import FORKS
from nbops.engine.signals import signals
from nbops.inventory.pattern import match_hosts
from nbops.report.choose import observer
from nbops.report.plain import PlainObserver
from nbops.transport.pool import Pool


@dataclass(frozen=True)
class Reach:
    """A cluster and the sessions with its hosts. `run` names the jobs that are begun."""

    cluster: Cluster
    connections: Connections
    bus: Bus
    workers: ThreadPoolExecutor
    stop: Stop
    run: str
    forks: int

    def hosts(self, pattern: str, limit: str | None = None) -> list[str]:
        """The hosts of a pattern. Raises RefusedError when it means none."""
        found = match_hosts(self.cluster.inventory, pattern, limit)
        if not found:
            raise RefusedError(f"`{pattern}` means no host of this inventory")
        return found

    def connect(self, hosts: Sequence[str]) -> None:
        """Connect to all of them; raises HostUnusable that names all that cannot be used."""
        faults = self.connections.connect_all(hosts, self.forks, self.identity)
        if faults:
            raise HostUnusable.of([problem for fault in faults for problem in fault.problems])

    def identity(self, host: str) -> Identity:
        """Whom the inventory wants to act on a host."""
        become = self.cluster.become(host)
        if not become.enabled:
            return LOGIN
        return Identity(become.user or "root", become.method or "sudo", become.password)


@contextmanager
def reach(target: Target, output: Output, *, events: bool = False) -> Iterator[Reach]:
    """The cluster of the inventory, its sessions closed at the end. Where the answer itself is
    no `events`, what the sessions tell meanwhile goes to standard error.

    Every secret of its settings is fetched first, so that none is shown by what hosts answer.
    """
    cluster = Cluster(target.inventory_path(), extra_vars(target.extra_vars or ()))
    with masked(cluster.masker), _within(cluster, target, output, events) as reached:
        yield reached


@contextmanager
def _within(cluster: Cluster, target: Target, output: Output, events: bool) -> Iterator[Reach]:
    cluster.world({})
    settings = cluster.settings
    forks = target.forks or (settings.common.ssh.forks if settings else None) or FORKS
    shown: Observer = PlainObserver(sys.stderr, verbosity=output.verbosity)
    if events:
        shown = observer(json=output.json, plain=output.plain, verbosity=output.verbosity)
    bus, stop, run = Bus([shown], cluster.masker), Stop(), new_run_id()
    connections = Connections(Pool(run, stop=stop, emit=bus), cluster.endpoint)
    try:
        with ThreadPoolExecutor(forks, thread_name_prefix="host") as workers, signals(stop, bus):
            yield Reach(cluster, connections, bus, workers, stop, run, forks)
    finally:
        stop.lift()
        connections.close(sweep=True)
        bus.close()
