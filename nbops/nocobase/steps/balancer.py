"""`balancer_configure`: requests go to the nodes."""

from __future__ import annotations

from nbops.actions.api import ActionContext, Result
from nbops.nocobase.balancers.api import BalancerPlan
from nbops.nocobase.balancers.kinds import balancer
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.runbook.spec import ActionSpec, NoArgs


class BalancerConfigure:
    """Puts all nodes that answer requests behind the balancer."""

    spec = ActionSpec(
        name="balancer_configure",
        args=NoArgs,
        summary="Send requests to every node; checked by the balancer, put back when refused.",
        example="- balancer_configure:\n",
        returns={"nodes": "Addresses of the nodes behind it."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """A reload, and only when something is different."""
        cluster = cluster_of(ctx.vars)
        kind = balancer(str(cluster.part("balancer")["kind"]))
        return kind.configure(balancer_plan(cluster), ctx)


def balancer_plan(cluster: Cluster) -> BalancerPlan:
    """The balancer as the settings of a host have it."""
    part = cluster.part("balancer")
    return BalancerPlan(
        cluster=cluster.name,
        nodes=tuple(app.place for app in cluster.endpoints),
        port=int(part.get("port") or 80),
        sticky=bool(part.get("sticky")),
        body_size=str(part.get("body_size") or "0"),
    )
