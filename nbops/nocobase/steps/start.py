"""`nocobase_start`: the apps of a node, where they do not run as configured.

A start that may not be is a failure of its host, no refusal of the run: what the runbook has
for failures (`rescue`, `rollback`) is then done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import ActionFailed
from nbops.nocobase.cluster import Cluster, Endpoint
from nbops.nocobase.decisions import Peer, how_start, why_start
from nbops.nocobase.health import HEALTH_PATH, INFO_PATH, read_health, read_version
from nbops.nocobase.http import ask_script, read_answers
from nbops.nocobase.plans import Here, here
from nbops.nocobase.runtimes.api import NodePlan, NodeState, Start
from nbops.nocobase.steps.node import look
from nbops.runbook.spec import ActionSpec, Args

STARTED = "nocobase_started"


class StartArgs(Args):
    """The arguments of `nocobase_start`."""

    first: bool = Field(
        False,
        description="This node may install or migrate: one app of it starts, as one process,"
        " while all others are silent. When another node already serves the version, it starts"
        " as the others do.",
    )


class StartNode:
    """Starts the app where it does not run as configured."""

    spec = ActionSpec(
        name="nocobase_start",
        args=StartArgs,
        summary="Start the node unless it runs as configured; two never migrate at once.",
        example="- nocobase_start:\n    first: true\n",
        returns={
            "why": "Why it was started; empty when it was not.",
            "start": "`first` or `node`: how it was started last.",
            "instances": "Which of the host's apps were to run, counted from 1.",
        },
    )

    def run(self, args: StartArgs, ctx: ActionContext) -> Result:
        """Looks at this node and the others at the moment of the start. The runbook's order
        is not relied on: a start that could be a second migration is refused."""
        node = here(ctx.vars)
        apps = _wanted(node, args)
        numbers = [app.instance for app, _ in apps]
        image = look(node, ctx)
        seen = _seen(node, ctx)
        states = {app: node_state(node, ctx, plan) for app, plan in apps}
        whys = {
            app: why_start(
                states[app],
                seen[app].health,
                node.runtime.configuration(plan),
                image.image,
                plan.several and not args.first,
            )
            for app, plan in apps
        }
        if not any(whys.values()):
            return _result("", states[apps[0][0]].start, numbers)
        why = _told(whys)
        if ctx.check:
            return Result(changed=True, msg=why, values={"why": why})
        if not image.there:
            raise ActionFailed(
                f"{ctx.host} does not have {node.plan.image}", hint="`nocobase_pull` comes first"
            )
        _same_image_everywhere(node)
        ways = {app: _way(node, args, app, seen, ctx) for app, _ in apps if whys[app]}
        ctx.progress(f"starting: {why}")
        for app, plan in apps:
            if app in ways:
                _start(node, plan, ways[app], ctx)
        return _result(why, next(iter(ways.values())), numbers)


def _wanted(node: Here, args: StartArgs) -> Sequence[tuple[Endpoint, NodePlan]]:
    """The apps of the node that are to run now: one of them for a first start.

    Raises ActionFailed when that one is not for requests: nobody could look at it.
    """
    if not args.first:
        return node.apps()
    if not node.cluster.me.serves:
        first = node.cluster.first.host
        raise ActionFailed(
            f"{node.plan.host} is only for background work (`worker_mode`), and the first node"
            " must be for requests",
            hint=f"the first such node is {first}",
        )
    return node.apps()[:1]


def _way(
    node: Here,
    args: StartArgs,
    app: Endpoint,
    seen: Mapping[Endpoint, Peer],
    ctx: ActionContext,
) -> Start:
    """How an app may start now. Raises ActionFailed when it may not."""
    peers = [peer for other, peer in seen.items() if other != app]
    start, reason = how_start(node.cluster.app_version, args.first, seen[app], peers)
    if start is None:
        raise ActionFailed(f"{app.name} is not started: {reason}", hint=_HINT)
    if start is Start.FIRST:
        _first_of_batch(ctx)
    return start


def _start(node: Here, plan: NodePlan, start: Start, ctx: ActionContext) -> None:
    outcome = ctx.act(node.runtime.start_script(plan, start))
    if not outcome.ok:
        raise ActionFailed(f"the app cannot be started on {ctx.host}: {outcome.err.strip()}")


def _told(whys: Mapping[Endpoint, str]) -> str:
    """Why apps are started: once when it is the same for all."""
    reasons = list(dict.fromkeys(why for why in whys.values() if why))
    if len(reasons) == 1:
        return reasons[0]
    return "; ".join(f"{app.name}: {why}" for app, why in whys.items() if why)


def _result(why: str, start: Start, instances: list[int]) -> Result:
    values = {"why": why, "start": start.value, "instances": instances}
    return Result(changed=bool(why), msg=why, values=values, facts={STARTED: instances})


_HINT = (
    "one node is started alone, with `nocobase_start: {first: true}` in a play for `app[0]`,"
    " and waited for with `nocobase_wait`; then the others"
)


def node_state(node: Here, ctx: ActionContext, plan: NodePlan | None = None) -> NodeState:
    """What runs of one app of the node (default: the first) now.

    Raises ActionFailed when the runtime does not answer.
    """
    outcome = ctx.probe(node.runtime.state_script(plan or node.plan))
    if not outcome.ok:
        raise ActionFailed(f"{node.runtime.kind} does not answer on {ctx.host}: {outcome.err}")
    return node.runtime.read_state(outcome.out)


def started(node: Here) -> tuple[tuple[Endpoint, NodePlan], ...]:
    """The apps of the node that the last start was to bring up; all when there was none."""
    return tuple((app, plan) for app, plan in node.apps() if is_started(node.cluster, app))


def is_started(cluster: Cluster, app: Endpoint) -> bool:
    """Whether an app is one that the last start of its host was to bring up. The first start
    of a version brings up one of them alone."""
    numbers = cluster.fact(app.host, STARTED)
    return numbers is None or app.instance in numbers


def _seen(node: Here, ctx: ActionContext) -> dict[Endpoint, Peer]:
    """Every app of the cluster, as it is seen from this node now."""
    me = node.cluster.me.host
    apps = tuple(dict.fromkeys((*node.cluster.me.endpoints, *node.cluster.apps)))
    bases = [app.here if app.host == me else app.there for app in apps]
    urls = [f"{base}{path}" for base in bases for path in (HEALTH_PATH, INFO_PATH)]
    answers = read_answers(ctx.probe(ask_script(urls)).out, len(urls))
    return {
        app: Peer(
            app.name,
            read_health(answers[2 * at].status, answers[2 * at].body),
            read_version(answers[2 * at + 1].body),
        )
        for at, app in enumerate(apps)
    }


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
            hint="name an image that never changes, or `docker pull` it again on every node;"
            " without containers, `runtime.package` gives every node the same app",
        )
