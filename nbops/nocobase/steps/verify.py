"""`nocobase_verify`: whether a node is what it should be, and a part of a cluster."""

from __future__ import annotations

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect, quote
from nbops.base.secret import beginning
from nbops.nocobase.plans import Here, here
from nbops.nocobase.runtimes.api import NodePlan, NodeState
from nbops.nocobase.steps.start import started
from nbops.nocobase.steps.wait import see
from nbops.runbook.spec import ActionSpec, NoArgs

# What NocoBase writes when the environment names an adapter whose plugin is not there. It
# says that it is healthy all the same (seen on 2.2.15).
_MISSING = ("adapter is not exist", "workflow queue recovery failed")


class Verify:
    """Asks the node itself, and reads its log since it was started."""

    spec = ActionSpec(
        name="nocobase_verify",
        args=NoArgs,
        summary="Check that the node serves the right version; warn when it does not synchronise"
        " with the others.",
        example="- nocobase_verify:\n",
        effect=Effect.NONE,
        check="skipped where the app does not run with that version",
        returns={"version": "The version that the node serves."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """One look at each app of the node that is to run by now: the wait is over."""
        node = here(ctx.vars)
        wanted = node.cluster.app_version
        warnings: tuple[str, ...] = ()
        for app, plan in started(node):
            state, health, version = see(node, ctx, app, plan)
            if ctx.check and (not state.running or version != wanted):
                return Result(skipped=True, msg="the app does not run, or with another version")
            if not health.up:
                why = f"it ended {state.restarts} times" if state.restarts else str(health)
                return Result(failed=True, msg=f"NocoBase on {app.name} does not serve: {why}")
            if version != wanted:
                return Result(
                    failed=True,
                    msg=f"NocoBase on {app.name} is {version or 'of no version'}, not {wanted}",
                )
            warnings = warnings or _silent_faults(node, plan, state, ctx)
        return Result(values={"version": wanted}, warnings=warnings)


def _silent_faults(
    node: Here, plan: NodePlan, state: NodeState, ctx: ActionContext
) -> tuple[str, ...]:
    # Where there is an account, `nocobase_sign_in` asks the app itself.
    if len(node.cluster.nodes) < 2 or node.cluster.part("verify").get("account"):
        return ()
    patterns = " ".join(f"-e {quote(text)}" for text in _MISSING)
    log = node.runtime.log_script(plan, 0, state.since).rstrip()
    outcome = ctx.probe(f"{log} | grep -F -m 1 {patterns}")
    if not outcome.out.strip():
        return ()
    return (
        f"{ctx.host} is healthy but does not synchronise with the other nodes: its cluster"
        f" plugins are not loaded (its log says: {beginning(outcome.out.strip(), 200)}). They are"
        " commercial: set plugins.package_service, or put the packages on every node"
        " (plugins.local)",
    )
