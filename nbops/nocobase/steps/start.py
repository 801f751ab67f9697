"""Actions that start and stop the app on a node.

A start that may not be is a failure of its host, no refusal of the run: what the runbook has
for failures (`rescue`, `rollback`) is then done.
"""

from __future__ import annotations

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import ActionFailed
from nbops.nocobase.decisions import Peer, how_start, why_start
from nbops.nocobase.health import HEALTH_PATH, INFO_PATH, read_health, read_version
from nbops.nocobase.http import ask_script, read_answers
from nbops.nocobase.plans import Here, here
from nbops.nocobase.runtimes.api import NodeState, Start
from nbops.nocobase.steps.node import look
from nbops.runbook.spec import ActionSpec, Args


class StartArgs(Args):
    """The arguments of `nocobase_start`."""

    first: bool = Field(
        False,
        description="This node may install or migrate: it starts as one process while all"
        " other nodes are silent. When another node already serves the version, it starts as"
        " the others do.",
    )


class StartNode:
    """Starts the app where it does not run as configured."""

    spec = ActionSpec(
        name="nocobase_start",
        args=StartArgs,
        summary="Start the node unless it runs as configured; two never migrate at once.",
        example="- nocobase_start:\n    first: true\n",
        returns={"why": "Why it was started; empty when it was not.", "start": "`first` or `node`"},
    )

    def run(self, args: StartArgs, ctx: ActionContext) -> Result:
        """Looks at this node and the others at the moment of the start. The runbook's order
        is not relied on: a start that could be a second migration is refused."""
        node = here(ctx.vars)
        state = node_state(node, ctx)
        image = look(node, ctx)
        me, *peers = _peers(node, ctx)
        why = why_start(
            state,
            me.health,
            node.runtime.configuration(node.plan),
            image.image,
            node.plan.several and not args.first,
        )
        if not why:
            return Result(values={"why": "", "start": state.start.value})
        if ctx.check:
            return Result(changed=True, msg=why, values={"why": why})
        if not image.there:
            raise ActionFailed(
                f"{ctx.host} does not have {node.plan.image}", hint="`nocobase_pull` comes first"
            )
        _same_image_everywhere(node)
        start, reason = how_start(node.cluster.app_version, args.first, me, peers)
        if start is None:
            raise ActionFailed(f"{ctx.host} is not started: {reason}", hint=_HINT)
        if start is Start.FIRST:
            _first_of_batch(ctx)
        ctx.progress(f"starting: {why}")
        outcome = ctx.act(node.runtime.start_script(node.plan, start))
        if not outcome.ok:
            raise ActionFailed(f"the app cannot be started on {ctx.host}: {outcome.err.strip()}")
        return Result(changed=True, msg=why, values={"why": why, "start": start.value})


_HINT = (
    "one node is started alone, with `nocobase_start: {first: true}` in a play for `app[0]`,"
    " and waited for with `nocobase_wait`; then the others"
)


class StopArgs(Args):
    """The arguments of `nocobase_stop`."""

    grace: int = Field(60, ge=0, description="Seconds that the app has to finish its requests.")


class StopNode:
    """Stops the app, and keeps it from coming back by itself."""

    spec = ActionSpec(
        name="nocobase_stop",
        args=StopArgs,
        summary="Stop the node; it does not come back by itself until nbops started it.",
        example="- nocobase_stop:\n",
    )

    def run(self, args: StopArgs, ctx: ActionContext) -> Result:
        """Nothing is done where nothing runs, or could come back."""
        node = here(ctx.vars)
        state = node_state(node, ctx)
        if not state.there or not (state.running or state.comes_back):
            return Result()
        if not ctx.check:
            outcome = ctx.act(
                node.runtime.stop_script(node.plan, args.grace), deadline=args.grace + 120
            )
            if not outcome.ok:
                raise ActionFailed(
                    f"the app cannot be stopped on {ctx.host}: {outcome.err.strip()}"
                )
        return Result(changed=True)


class AutostartArgs(Args):
    """The arguments of `nocobase_autostart`."""

    enabled: bool = Field(True, description="Whether the app starts by itself with the machine.")


class Autostart:
    """Lets a node come back by itself, or not."""

    spec = ActionSpec(
        name="nocobase_autostart",
        args=AutostartArgs,
        summary="Let the node come back after a crash or a reboot; off until nbops started it.",
        example="- nocobase_autostart:\n    enabled: true\n",
    )

    def run(self, args: AutostartArgs, ctx: ActionContext) -> Result:
        """Refused for a node that does not run: it could come back unbidden."""
        node = here(ctx.vars)
        state = node_state(node, ctx)
        if state.comes_back == args.enabled or (ctx.check and not state.there):
            return Result()
        if args.enabled and not state.running:
            raise ActionFailed(
                f"the app does not run on {ctx.host}, so it may not come back by itself",
                hint="`nocobase_start` and `nocobase_wait` come first",
            )
        if not ctx.check:
            outcome = ctx.act(node.runtime.come_back_script(node.plan, args.enabled))
            if not outcome.ok:
                raise ActionFailed(f"{ctx.host}: {outcome.err.strip()}")
        return Result(changed=True)


def node_state(node: Here, ctx: ActionContext) -> NodeState:
    """What runs on the node now. Raises ActionFailed when the runtime does not answer."""
    outcome = ctx.probe(node.runtime.state_script(node.plan))
    if not outcome.ok:
        raise ActionFailed(f"{node.runtime.kind} does not answer on {ctx.host}: {outcome.err}")
    return node.runtime.read_state(outcome.out)


def _peers(node: Here, ctx: ActionContext) -> list[Peer]:
    """This node, then all others, as they are seen from here now."""
    me = node.cluster.me.endpoints[0]
    others = [app for app in node.cluster.apps if app != me]
    bases = [(me.name, me.here), *((app.name, app.there) for app in others)]
    urls = [f"{base}{path}" for _, base in bases for path in (HEALTH_PATH, INFO_PATH)]
    answers = read_answers(ctx.probe(ask_script(urls)).out, len(urls))
    return [
        Peer(
            host,
            read_health(answers[2 * at].status, answers[2 * at].body),
            read_version(answers[2 * at + 1].body),
        )
        for at, (host, _) in enumerate(bases)
    ]


def _first_of_batch(ctx: ActionContext) -> None:
    """Of hosts that act at the same time only one may see that all others are silent."""
    if ctx.hosts and ctx.hosts[0] != ctx.host:
        raise ActionFailed(
            f"{ctx.host} is not started: {ctx.hosts[0]} is started first at the same moment",
            hint=_HINT,
        )


def _same_image_everywhere(node: Here) -> None:
    """A mutable tag can mean another image on every node.

    Raises ActionFailed when the nodes pulled different ones.
    """
    pulled = {
        peer.host: fact["digest"]
        for peer in node.cluster.nodes
        if (fact := node.cluster.fact(peer.host, "nocobase_image"))
        and fact["reference"] == node.plan.image
    }
    if len(set(pulled.values())) > 1:
        held = ", ".join(f"{host}: {digest[:19]}" for host, digest in pulled.items())
        raise ActionFailed(
            f"{node.plan.image} is not the same image on every node ({held})",
            hint="name an image that never changes, or `docker pull` it again on every node",
        )
