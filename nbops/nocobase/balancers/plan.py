"""From the inventory's settings to what is wanted of a balancer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbops.actions.api import ActionContext
from nbops.base.errors import ActionFailed
from nbops.nocobase.balancers.api import BalancerPlan
from nbops.nocobase.balancers.pages import pages, read_page
from nbops.nocobase.balancers.tls import read_tls
from nbops.nocobase.cluster import Cluster

_PLACE = re.compile(r"(\w[\w.-]*|\[[0-9a-fA-F:.]+(%[\w.-]+)?\]):\d+", re.ASCII)


def short_plan(cluster: Cluster, drained: frozenset[str] = frozenset()) -> BalancerPlan:
    """What can be said without reading a file or asking a host: enough to look and to switch.

    Raises ActionFailed for an address that is none: it would go into a configuration as it is.
    """
    for end in cluster.endpoints:
        if not _PLACE.fullmatch(end.place):
            raise ActionFailed(
                f"the address of {end.host}, {end.address!r}, is no host name and no IP address",
                hint="set `ansible_host`, or `runtime.address`",
            )
    part = cluster.part("balancer")
    return BalancerPlan(
        cluster=cluster.name,
        nodes=cluster.endpoints,
        drained=drained,
        port=int(part.get("port") or (443 if part.get("tls") else 80)),
        address=str(part.get("address") or ""),
        sticky=bool(part.get("sticky")),
        body_size=str(part.get("body_size") or "0"),
    )


def full_plan(
    cluster: Cluster, ctx: ActionContext, drained: frozenset[str] = frozenset()
) -> BalancerPlan:
    """All of it: certificate and page from this computer, and whether the host knows IPv6.

    Raises ActionFailed when a file cannot be used.
    """
    part: Mapping[str, Any] = cluster.part("balancer")
    if str(part.get("kind")) == "external":
        return short_plan(cluster, drained)
    folder = Path(str(ctx.vars["inventory_dir"]))
    page = part.get("maintenance_page")
    ipv6 = ctx.probe("if [ -s /proc/net/if_inet6 ]; then echo yes; fi").out.strip() == "yes"
    short = short_plan(cluster, drained)
    return BalancerPlan(
        cluster=short.cluster,
        nodes=short.nodes,
        drained=drained,
        port=short.port,
        address=short.address,
        sticky=short.sticky,
        body_size=short.body_size,
        tls=read_tls(folder, part["tls"]) if part.get("tls") else None,
        pages=pages(read_page(folder, str(page)) if page else None),
        ipv6=ipv6,
    )
