"""The balancer that an action acts on: its kind, what it does now, how it is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nbops.actions.api import ActionContext
from nbops.nocobase.balancers.api import Balancer, BalancerPlan, BalancerState
from nbops.nocobase.balancers.ask import Door, local_door
from nbops.nocobase.balancers.kinds import balancer
from nbops.nocobase.balancers.plan import full_plan, short_plan
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.plans import absent_from, aimed_at


@dataclass(frozen=True)
class Here:
    """A balancer, and what it does now. `absent` are the hosts of the group `app` that the release
    which is aimed at does not have: it does not know them."""

    cluster: Cluster
    kind: Balancer
    state: BalancerState
    door: Door
    absent: frozenset[str] = frozenset()

    @property
    def waits(self) -> bool:
        """Whether its host's kernel can tell which requests are in flight; the user's own
        commands wait themselves."""
        return self.kind.kind != "external"

    @property
    def places(self) -> tuple[str, ...]:
        """Every address that may have requests from it."""
        ends = (end.place for end in self.cluster.endpoints)
        return tuple(dict.fromkeys((*self.state.nodes, *ends)))

    @property
    def side_door(self) -> str:
        """How the operator reaches the app while the page stands: a tunnel to a port that only
        the balancer itself can reach. Empty where there is none."""
        if not self.waits:
            return ""
        port = short_plan(self.cluster).side_door
        me = self.cluster.me
        return f"ssh -L {port}:127.0.0.1:{port} {me.address}, then http://localhost:{port}"

    def plan(self, ctx: ActionContext, drained: frozenset[str] | None = None) -> BalancerPlan:
        """What is wanted of it. `drained` None: what it has stays; then files are read only
        where it was never configured."""
        now = frozenset(self.state.drained) if drained is None else drained
        short = drained is None and self.state.digest and self.state.running
        plan = short_plan(self.cluster, now) if short else full_plan(self.cluster, ctx, now)
        nodes = tuple(node for node in plan.nodes if node.host not in self.absent)
        return replace(plan, nodes=nodes, drained=plan.drained - self.absent)


def here(ctx: ActionContext) -> Here:
    """The balancer on the host that is acted on: that of the task, or its delegate."""
    cluster = aimed_at(cluster_of(ctx.vars))
    if ctx.host in cluster.members:
        cluster = replace(cluster, me=cluster.members[ctx.host])
    kind = balancer(str(cluster.part("balancer")["kind"]))
    plan = short_plan(cluster)
    door = local_door(cluster)
    if kind.kind == "external":
        door = Door(f"the address {plan.address}", plan.address.rstrip("/"))
    return Here(cluster, kind, kind.look(plan, ctx), door, absent_from(cluster))
