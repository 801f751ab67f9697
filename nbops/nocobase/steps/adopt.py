"""`nocobase_adopt`: a cluster that was built by hand gives way to the one that nbops starts."""

from __future__ import annotations

from nbops.actions.api import ActionContext, Result
from nbops.base.command import quote
from nbops.base.errors import ActionFailed, RefusedError
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.preflight_keys import by_hand
from nbops.nocobase.preflight_needs import situation_of
from nbops.runbook.spec import ActionSpec, NoArgs

_GRACE = 60


class Adopt:
    """Stops the containers of this cluster that nbops did not start, and keeps them."""

    spec = ActionSpec(
        name="nocobase_adopt",
        args=NoArgs,
        summary="Stop the app's containers that were built by hand; they are kept, stopped.",
        example="- nocobase_adopt:\n  when: nbops_adopt\n",
        returns={"stopped": "The names of the containers that were stopped."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """What is stopped is what preflight found and compared, with `--adopt` only."""
        cluster = cluster_of(ctx.vars)
        situation = situation_of(cluster, ctx.vars)
        if cluster.me.host not in situation.looks:
            raise ActionFailed(
                f"{ctx.host} was not looked at", hint="`nocobase_preflight: look` comes first"
            )
        apps = [app for app in by_hand(situation) if app.host == cluster.me.host]
        running = [app.shown for app in apps if app.state in {"running", "restarting", "paused"}]
        if running and not situation.adopt:
            raise RefusedError(
                f"{', '.join(running)} on {ctx.host} was not deployed by nbops",
                hint="`nbops deploy --adopt` takes it over",
            )
        by_process = [app for app in apps if app.name.startswith("port-")]
        if by_process:
            raise ActionFailed(
                f"the app on {by_process[0].shown} of {ctx.host} was started without Docker"
                f" ({by_process[0].image})",
                hint="stop it as it was started, keep it from coming back, and deploy again",
            )
        if running and not ctx.check:
            names = " ".join(map(quote, running))
            outcome = ctx.act(
                f"docker update --restart no {names} >/dev/null"
                f" && docker stop --time {_GRACE} {names}\n",
                deadline=len(running) * _GRACE + 120,
            )
            if not outcome.ok:
                raise ActionFailed(
                    f"{', '.join(running)} on {ctx.host} cannot be stopped: {outcome.err.strip()}"
                )
        return Result(changed=bool(running), values={"stopped": running})
