"""Nodes of a release that are in the group `app` no more: no play stops them, and their apps
would go on with the old version while the database changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbops.base.errors import RefusedError
from nbops.nocobase.cluster import Cluster
from nbops.nocobase.databases.here import in_use
from nbops.nocobase.plans import plans_in, recorded
from nbops.nocobase.releases import PENDING, Release

RELEASES = "nocobase_releases"


def check_leavers(
    cluster: Cluster, present: Mapping[str, Any] | None, way: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """What the operator has to stop by hand: nodes of the present release, or of one on its
    way, on hosts that the inventory does not know any more.

    Raises RefusedError when one is on a host that it knows, outside the group `app`.
    """
    app = cluster.groups.get("app", ())
    may_run: dict[str, int | str] = dict.fromkeys(_joined_by(cluster, way), PENDING)
    if present:
        may_run |= dict.fromkeys(present["hosts"], int(present["number"]))
    away = {host: record for host, record in may_run.items() if host not in app}
    left = [host for host in away if host in cluster.hostvars]
    if left:
        back = "put it back into the group `app`"
        raise RefusedError(
            f"{', '.join(left)}: a node of {cluster.name} that is in the group `app` no more; its"
            " app would go on with the old version while the database changes",
            hint=back if way else f"`nbops deploy` stops it; or {back}",
        )
    if cluster.me.host != cluster.first.host:
        return ()
    return tuple(
        out_of_reach(recorded(cluster, name), cluster, host) for host, name in away.items()
    )


def _joined_by(cluster: Cluster, way: Mapping[str, Any] | None) -> list[str]:
    """The nodes that came with a release on its way. Those of its parent are left out: on the
    way back to it, those that were taken out of `app` since are not started."""
    if way is None:
        return []
    told = [one for host in cluster.members for one in cluster.fact(host, RELEASES) or ()]
    before = [host for one in told if one["number"] == way["parent"] for host in one["hosts"]]
    return [host for host in way["hosts"] if host not in before]


def check_joined(
    cluster: Cluster, release: Mapping[str, Any], way: Mapping[str, Any] | None = None
) -> None:
    """Raises RefusedError when the group `app` has a host on which the release has no node."""
    new = [node.host for node in cluster.nodes if node.host not in release["hosts"]]
    if new:
        raise RefusedError(
            f"{', '.join(new)}: in the group `app`, and no node of release {release['number']}",
            hint=f"`nbops rollback` goes back from what run {way['run']} left half-way"
            if way
            else "`nbops deploy` starts it; or take it out of the group `app`",
        )


def out_of_reach(record: Release, cluster: Cluster, host: str) -> str:
    """A warning about an app that nbops cannot stop, with one line that does."""
    kind, plans = plans_in(record, host, in_use(cluster))
    names = " ".join(plan.name for plan in plans)
    line = f"ssh {host} 'docker update --restart no {names} && docker stop {names}'"
    if kind == "pm2":
        line = f"ssh {host} systemctl disable --now {names}"
    return (
        f"{host} is in the inventory no more, and its app may still run there and write to the"
        f" database: stop it with `{line}`"
    )
