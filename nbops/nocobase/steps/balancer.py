"""Actions of the balancers: requests to the nodes, one node out, the 503 page up and down.

Each asks the balancer itself, as a visitor would, before it says that it is done.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.base.errors import ActionFailed, DeadlineExceeded
from nbops.base.events import MaintenanceMark
from nbops.nocobase.balancers import inflight
from nbops.nocobase.balancers.api import BalancerPlan, BalancerState
from nbops.nocobase.balancers.ask import Door, Mode, doors, read_look, tell, wait_for
from nbops.nocobase.balancers.ask import look_script as ask_script
from nbops.nocobase.balancers.here import Here, here
from nbops.nocobase.balancers.ready import why_not_ready
from nbops.nocobase.balancers.tls import expiry_warnings
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.preflight_needs import RELEASE
from nbops.runbook.spec import ActionSpec, Args, NoArgs

_ANSWERS = 15.0


class ConfigureArgs(Args):
    """The arguments of `balancer_configure`."""

    without: Sequence[str] = Field(
        default=(), description="Hosts of the group `app` that get no requests."
    )
    wait: float = Field(
        60, ge=0, description="Seconds that requests to nodes that are taken out may still take."
    )


class BalancerConfigure:
    """Puts the nodes that answer requests behind the balancer."""

    spec = ActionSpec(
        name="balancer_configure",
        args=ConfigureArgs,
        summary="Send requests to every node; checked by the balancer, put back when refused."
        " A 503 page that stands stays.",
        example="- balancer_configure:\n",
        returns={
            "nodes": "Addresses of the nodes that get requests.",
            "maintenance": "Whether the 503 page stands.",
            "side_door": "Port on the balancer's loopback that leads to the nodes even then.",
        },
    )

    def run(self, args: ConfigureArgs, ctx: ActionContext) -> Result:
        """A reload, and only when something is different; no request is dropped by it.

        Where the records were read and there is none, visitors are let in for the first time:
        what was done so far is not undone any more."""
        me = here(ctx)
        _known(me.cluster, args.without)
        if not ctx.check and _lets_in_first(me):
            ctx.seal()
        return _carry(me, frozenset(args.without), args.wait, ctx)


class DrainArgs(Args):
    """The arguments of `balancer_drain`."""

    node: str = Field(description="The host of the group `app`.")
    wait: float = Field(60, ge=0, description="Seconds that its requests may still take.")


class BalancerDrain:
    """Takes one node out, and waits until it has answered what it began."""

    spec = ActionSpec(
        name="balancer_drain",
        args=DrainArgs,
        summary="Send no new requests to a node, and wait until those in flight have ended; its"
        " websockets are closed then.",
        example='- balancer_drain:\n    node: "{{ inventory_hostname }}"\n'
        '  delegate_to: "{{ item }}"\n  loop: "{{ groups.balancer }}"\n',
        returns={"nodes": "Addresses of the nodes that get requests.", "cut": "Requests cut."},
    )

    def run(self, args: DrainArgs, ctx: ActionContext) -> Result:
        """The last node is not taken out while visitors are let in."""
        me = here(ctx)
        _known(me.cluster, [args.node])
        drained = frozenset((*me.state.drained, args.node))
        others = [end for end in me.cluster.endpoints if end.host not in drained | me.absent]
        if not others and not me.state.maintenance:
            raise ActionFailed(
                f"{args.node} is the last node behind {ctx.host}: nobody would answer",
                hint="put the 503 page up first (`balancer_maintenance`)",
            )
        return _carry(me, drained, args.wait, ctx)


class UndrainArgs(Args):
    """The arguments of `balancer_undrain`."""

    node: str = Field(description="The host of the group `app`.")


class BalancerUndrain:
    """Takes one node in again."""

    spec = ActionSpec(
        name="balancer_undrain",
        args=UndrainArgs,
        summary="Send requests to a node again that was taken out by `balancer_drain`.",
        example='- balancer_undrain:\n    node: "{{ inventory_hostname }}"\n'
        '  delegate_to: "{{ item }}"\n  loop: "{{ groups.balancer }}"\n',
        returns={"nodes": "Addresses of the nodes that get requests."},
    )

    def run(self, args: UndrainArgs, ctx: ActionContext) -> Result:
        """Others that are out stay out."""
        me = here(ctx)
        _known(me.cluster, [args.node])
        return _carry(me, frozenset(me.state.drained) - {args.node}, 0, ctx)


class MaintenanceArgs(Args):
    """The arguments of `balancer_maintenance`."""

    state: bool = Field(description="`on`: every visitor gets the 503 page. `off`: the nodes.")
    wait: float = Field(30, ge=0, description="Seconds that requests in flight may still take.")
    anyway: bool = Field(
        False, description="Take the page down even where no node answers, or versions differ."
    )
    without: Sequence[str] = Field(
        default=(),
        description="Hosts of the group `app` that get no requests when the page is down, for a"
        " balancer of the user's own; the others know from `balancer_configure`.",
    )


class BalancerMaintenance:
    """The 503 page, up or down."""

    spec = ActionSpec(
        name="balancer_maintenance",
        args=MaintenanceArgs,
        summary="Answer every request with the 503 page, and wait until those in flight have"
        " ended; or let visitors in again, when the nodes are ready.",
        example="- balancer_maintenance:\n    state: on\n",
        free_form="state",
        returns={
            "maintenance": "Whether the 503 page stands.",
            "cut": "Requests that had not ended in time.",
            "websockets": "Websockets that were closed.",
            "side_door": "How the operator reaches the app while the page stands.",
        },
    )

    def run(self, args: MaintenanceArgs, ctx: ActionContext) -> Result:
        """Nobody is let in to nodes that do not answer; the page goes up again if they fail.
        With the page comes the fact `nocobase_side_door`."""
        me = here(ctx)
        if not args.state:
            return self._off(args, me, ctx)
        change = me.kind.switch(me.plan(ctx), ctx, on=True)
        if ctx.check:
            return Result(changed=change.changed, diff=change.diffs or None)
        _promise(me.door, Mode.MAINTENANCE, ctx)
        ctx.emit(MaintenanceMark(on=True, host=ctx.host))
        left = inflight.InFlight()
        if me.waits:
            left = inflight.wait(ctx, me.places, args.wait)
        return Result(
            changed=change.changed,
            diff=change.diffs or None,
            msg=f"503 stands; side door: {me.side_door}" if me.side_door else "503 stands",
            values={
                "maintenance": True,
                "cut": left.requests,
                "websockets": left.sockets,
                "side_door": me.side_door,
            },
            facts={"nocobase_side_door": me.side_door} if me.side_door else {},
            warnings=_cut(left, args.wait),
        )

    def _off(self, args: MaintenanceArgs, me: Here, ctx: ActionContext) -> Result:
        if me.state.maintenance and not args.anyway and (why := why_not_ready(me, ctx)):
            raise ActionFailed(
                f"503 stays on {ctx.host}: {why}",
                hint="start the nodes first; `anyway: true` takes the page down all the same",
            )
        _known(me.cluster, args.without)
        plan = me.plan(ctx, frozenset(args.without) if args.without and not me.waits else None)
        if ctx.check:
            change = me.kind.switch(plan, ctx, on=False)
        else:
            begun = ctx.seal()
            ours = me.state.maintenance or begun
            try:
                change = me.kind.switch(plan, ctx, on=False)
                if not args.anyway:
                    _promise(me.door, Mode.TRAFFIC, ctx)
            except (ActionFailed, DeadlineExceeded):
                if ours:
                    _shut(me, plan, ctx)
                raise
            if ours:
                ctx.emit(MaintenanceMark(on=False, host=ctx.host))
        return Result(
            changed=change.changed,
            diff=change.diffs or None,
            values={"maintenance": False, "cut": 0, "websockets": 0, "side_door": me.side_door},
        )


class VerifyArgs(Args):
    """The arguments of `balancer_verify`."""

    expect: Mode = Field(description="`maintenance` (503 with Retry-After) or `traffic` (200).")
    wait: float = Field(15, ge=0, description="Seconds until every balancer must answer so.")


class BalancerVerify:
    """What visitors get, asked from a host that is not the balancer."""

    spec = ActionSpec(
        name="balancer_verify",
        args=VerifyArgs,
        summary="Ask every balancer, and the public address, from this host: do they answer 503"
        " with Retry-After, or do they serve?",
        example="- balancer_verify:\n    expect: maintenance\n  run_once: true\n",
        effect=Effect.NONE,
        check="skipped",
        returns={"asked": "The addresses that were asked."},
    )

    def run(self, args: VerifyArgs, ctx: ActionContext) -> Result:
        """All of them must, at the same look."""
        asked = doors(cluster_of(ctx.vars))
        names = {"asked": [door.url for door in asked]}
        if ctx.check:
            return Result(skipped=True, values=names)
        wrong = wait_for(ctx, asked, args.expect, args.wait)
        if not wrong:
            return Result(values=names)
        wanted = "503 with Retry-After" if args.expect is Mode.MAINTENANCE else "200"
        return Result(
            failed=True, values=names, msg=f"not {wanted}, asked from {ctx.host}: {tell(wrong)}"
        )


class BalancerLook:
    """What a balancer does now."""

    spec = ActionSpec(
        name="balancer_state",
        args=NoArgs,
        summary="Tell what the balancer does now: traffic or the 503 page, and to which nodes.",
        example="- balancer_state:\n  register: balancer\n",
        effect=Effect.NONE,
        returns={
            "running": "Whether it runs.",
            "maintenance": "Whether the 503 page stands.",
            "nodes": "The nodes that it knows.",
            "drained": "Hosts that get no requests.",
            "answer": "What a visitor gets at this moment.",
        },
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Changes nothing."""
        me = here(ctx)
        (said,) = read_look(ctx.probe(ask_script([me.door])).out, 1)
        return Result(values=told(me.state) | {"answer": str(said)})


def told(state: BalancerState) -> dict[str, object]:
    """A state as plain data."""
    return {
        "running": state.running,
        "maintenance": state.maintenance,
        "nodes": list(state.nodes),
        "drained": list(state.drained),
    }


def maintenance_gaps(cluster: Cluster, ctx: ActionContext) -> str:
    """Which balancers answer anything but 503 with Retry-After at this moment, asked from the
    host that acts; empty when none does. For actions that may stop nodes only then.

    One that does not answer lets nobody in: the way back need not wait for it.
    """
    asked = doors(cluster)
    answers = read_look(ctx.probe(ask_script(asked)).out, len(asked)) if asked else ()
    return tell(
        {
            door: said
            for door, said in zip(asked, answers, strict=True)
            if said.status and not said.fits(Mode.MAINTENANCE)
        }
    )


def _lets_in_first(me: Here) -> bool:
    """Whether visitors get to a cluster that has no release yet. The user's own balancer may
    answer 503 just because no node does."""
    facts = [told for told in me.cluster.hostvars.values() if RELEASE in told]
    never = bool(facts) and not any(told[RELEASE] for told in facts)
    return never and not (me.state.maintenance and me.waits)


def _carry(me: Here, drained: frozenset[str], wait: float, ctx: ActionContext) -> Result:
    """Configure for these nodes, wait for those that go, and look at the result."""
    plan = me.plan(ctx, drained)
    gone = leaving(me.state, plan)
    change = me.kind.configure(plan, ctx)
    left = inflight.InFlight()
    if not ctx.check:
        if gone and me.waits:
            me.kind.settle(plan, ctx)
            left = inflight.wait(ctx, gone, wait)
        if not me.state.maintenance:
            _promise(me.door, Mode.TRAFFIC, ctx)
    return Result(
        changed=change.changed,
        diff=change.diffs or None,
        values={
            "nodes": [node.place for node in plan.live],
            "maintenance": me.state.maintenance,
            "side_door": me.side_door,
            "cut": left.requests,
        },
        warnings=(*_cut(left, wait), *(expiry_warnings(plan.tls.certificate) if plan.tls else ())),
    )


def leaving(state: BalancerState, plan: BalancerPlan) -> tuple[str, ...]:
    """The addresses that may still have requests and are to get none: those that the balancer
    knows now, and those that are drained, whether it knew that already or not."""
    live = {node.place for node in plan.live}
    known = (*state.nodes, *(node.place for node in plan.nodes))
    return tuple(dict.fromkeys(place for place in known if place not in live))


def _shut(me: Here, plan: BalancerPlan, ctx: ActionContext) -> None:
    """Put the page up again, for visitors did not get the app. Where it stood until this step,
    nobody has come to the app meanwhile: then everything can still be undone."""
    me.kind.switch(plan, ctx, on=True)
    _promise(me.door, Mode.MAINTENANCE, ctx)
    if me.state.maintenance:
        ctx.unseal()


def _promise(door: Door, mode: Mode, ctx: ActionContext) -> None:
    wrong = wait_for(ctx, [door], mode, _ANSWERS)
    if wrong:
        wanted = "the 503 page" if mode is Mode.MAINTENANCE else "the app"
        raise ActionFailed(f"a visitor is to get {wanted} now, and does not: {tell(wrong)}")


def _cut(left: inflight.InFlight, wait: float) -> tuple[str, ...]:
    if not left.requests:
        return ()
    return (f"{left.requests} requests had not ended after {wait:g} s and were cut",)


def _known(cluster: Cluster, hosts: Sequence[str]) -> None:
    for host in hosts:
        if host not in cluster.groups.get("app", ()):
            raise ActionFailed(f"there is no host `{host}` in the group `app`")
