"""Actions that stop the apps of a node, and let them come back by themselves or not."""

from __future__ import annotations

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import ActionFailed
from nbops.nocobase.cluster import Cluster
from nbops.nocobase.health import HEALTH_PATH, read_health
from nbops.nocobase.http import ask_script, read_answers
from nbops.nocobase.plans import Here, here
from nbops.nocobase.runtimes.api import Runtime, names_of
from nbops.nocobase.runtimes.kinds import all_runtimes
from nbops.nocobase.steps.balancer import maintenance_gaps
from nbops.nocobase.steps.start import node_state, started
from nbops.runbook.spec import ActionSpec, Args


class StopArgs(Args):
    """The arguments of `nocobase_stop`."""

    grace: int = Field(60, ge=0, description="Seconds that the app has to finish its requests.")
    surplus: bool = Field(
        False,
        description="Only what the inventory does not name any more on this host: an app of"
        " another runtime, or beyond `instances`. It is removed.",
    )
    anyway: bool = Field(
        False, description="Stop it even when visitors are let in and no other node serves them."
    )


class StopNode:
    """Stops the app, and keeps it from coming back by itself."""

    spec = ActionSpec(
        name="nocobase_stop",
        args=StopArgs,
        summary="Stop the node; it does not come back by itself until nbops started it.",
        example="- nocobase_stop:\n    grace: 120\n",
        returns={"stopped": "Names of what was stopped, as the host knows it."},
    )

    def run(self, args: StopArgs, ctx: ActionContext) -> Result:
        """Nothing is done where nothing runs, or could come back. What the inventory does not
        name any more is stopped as well: it would serve an old version beside the new.

        Visitors get the 503 page before the last node stops, whatever the runbook says.
        """
        node = here(ctx.vars)
        scripts: list[str] = []
        stopped: list[str] = []
        serves = False
        for plan in () if args.surplus else node.plans:
            state = node_state(node, ctx, plan)
            serves = serves or state.running
            if state.there and (state.running or state.comes_back):
                scripts.append(node.runtime.stop_script(plan, args.grace))
                stopped.append(plan.name)
        for kind, name in surplus(node, ctx):
            serves = serves or not args.surplus
            scripts.append(kind.remove_script(name, args.grace))
            stopped.append(name)
        if not ctx.check:
            if serves and not args.anyway:
                _check_visitors(node.cluster, ctx)
            for script in scripts:
                outcome = ctx.act(script, deadline=args.grace + 120)
                if not outcome.ok:
                    raise ActionFailed(
                        f"the app cannot be stopped on {ctx.host}: {outcome.err.strip()}"
                    )
        return Result(changed=bool(stopped), values={"stopped": stopped})


def _check_visitors(cluster: Cluster, ctx: ActionContext) -> None:
    """Raises ActionFailed when visitors are let in, and no node would be left to answer them:
    those that stop together count as stopped."""
    if not cluster.me.serves or _others_serve(cluster, ctx):
        return
    gaps = maintenance_gaps(cluster, ctx)
    if gaps:
        raise ActionFailed(
            f"{cluster.me.host} is not stopped: no other node would serve, and visitors do not"
            f" get the 503 page ({gaps})",
            hint="`balancer_maintenance: on` comes first; `anyway: true` stops it all the same",
        )


def _others_serve(cluster: Cluster, ctx: ActionContext) -> bool:
    others = [end for end in cluster.endpoints if end.host not in {cluster.me.host, *ctx.hosts}]
    if not others:
        return False
    urls = [f"{end.there}{HEALTH_PATH}" for end in others]
    answers = read_answers(ctx.probe(ask_script(urls)).out, len(urls))
    return any(read_health(one.status, one.body).up for one in answers)


def apps_of(node: Here, ctx: ActionContext) -> list[tuple[Runtime, str]]:
    """The apps of the cluster on this host, of any runtime, whether they run or not. Raises
    ActionFailed when a runtime does not answer."""
    found: list[tuple[Runtime, str]] = []
    for kind in all_runtimes():
        outcome = ctx.probe(kind.instances_script(node.plan))
        if not outcome.ok:
            raise ActionFailed(f"{kind.kind} does not answer on {ctx.host}: {outcome.err.strip()}")
        found += [(kind, name) for name in names_of(node.plan, outcome.out)]
    return found


def surplus(node: Here, ctx: ActionContext) -> list[tuple[Runtime, str]]:
    """Those that the inventory does not name any more: of another runtime, or beyond
    `instances`. Raises ActionFailed when a runtime does not answer."""
    wanted = {(node.runtime.kind, plan.name) for plan in node.plans}
    return [(kind, name) for kind, name in apps_of(node, ctx) if (kind.kind, name) not in wanted]


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
        changed = False
        for app, plan in started(node) if args.enabled else node.apps():
            state = node_state(node, ctx, plan)
            if state.comes_back == args.enabled or (not state.there and not args.enabled):
                continue
            if ctx.check and args.enabled and not state.running:
                continue  # it would be started before this
            if args.enabled and not state.running:
                raise ActionFailed(
                    f"the app does not run on {app.name}, so it may not come back by itself",
                    hint="`nocobase_start` and `nocobase_wait` come first",
                )
            changed = True
            if not ctx.check:
                outcome = ctx.act(node.runtime.come_back_script(plan, args.enabled))
                if not outcome.ok:
                    raise ActionFailed(f"{app.name}: {outcome.err.strip()}")
        return Result(changed=changed)
