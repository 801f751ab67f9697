"""A cluster within reach, for commands that look at it and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from nbops.base.command import Command, Outcome, Text
from nbops.base.errors import ActionFailed, HostUnusable, NbopsError, UsageError, understood
from nbops.cli.faults import conceal

if TYPE_CHECKING:
    from nbops.cli.reach import Reach
    from nbops.nocobase.cluster import Cluster
    from nbops.transport.session import Watch

_FOLLOWED = 30 * 86400.0
T = TypeVar("T")


@dataclass(frozen=True)
class HostLooker:
    """Looks at one host; leaves nothing there but what the end of the command sweeps."""

    reached: Reach
    host: str

    def probe(self, script: Text, *, stdin: bytes | None = None) -> Outcome:
        """Run a script that changes nothing, as whom the inventory says."""
        identity = self.reached.identity(self.host)
        session = self.reached.connections.session(self.host)
        return session.run(Command(script, stdin=stdin, identity=identity))

    def follow(self, script: Text, watch: Watch) -> Outcome:
        """Run a script that goes on until it ends or the user stops; its output goes to `watch`
        as it comes."""
        command = Command(
            script, identity=self.reached.identity(self.host), deadline=_FOLLOWED, idle=True
        )
        return self.reached.connections.session(self.host).run(command, watch)

    def stage(self, content: bytes) -> str:
        """Content as a file of mode 0600 in this command's folder on the host."""
        identity = self.reached.identity(self.host)
        return self.reached.connections.session(self.host).stage(content, identity)


def cluster_within(reached: Reach) -> Cluster:
    """What the inventory says of the cluster, from the point of view of the first node.

    Raises UsageError when it describes none.
    """
    from nbops.engine.hosts import Hosts
    from nbops.engine.variables import VariableStore
    from nbops.nocobase.cluster import cluster_of
    from nbops.runbook.expr import Templar

    if reached.cluster.settings is None:
        raise UsageError(
            f"{reached.cluster.path}: no `nocobase:` settings, so there is no cluster to look at",
            hint="`nbops init` writes an inventory that has them",
        )
    world = reached.cluster.world({})
    store = VariableStore(world, Hosts(list(world.inventory)), Templar())
    return cluster_of(store.of_host(reached.hosts("app")[0]))


def side_by_side(
    reached: Reach, hosts: Sequence[str], look: Callable[[HostLooker], T]
) -> tuple[dict[str, T], dict[str, NbopsError]]:
    """What a look at each host gives, all hosts at the same time; and the errors of the others."""
    found: dict[str, T] = {}
    faults: dict[str, NbopsError] = {}

    def one(host: str) -> None:
        try:
            with understood(host, "nbops"):
                found[host] = look(HostLooker(reached, host))
        except NbopsError as error:
            reached.stop.check()
            conceal(error, reached.cluster.masker)
            faults[host] = error

    list(reached.workers.map(one, hosts))
    return {host: found[host] for host in hosts if host in found}, faults


def unanswered(faults: dict[str, NbopsError]) -> NbopsError:
    """The error that tells why these hosts gave no answer."""
    kind: type[NbopsError] = ActionFailed
    if all(isinstance(fault, HostUnusable) for fault in faults.values()):
        kind = HostUnusable
    return kind.of([one for fault in faults.values() for one in fault.problems])
