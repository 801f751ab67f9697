"""`nocobase_wait`: until the node serves its version."""

from __future__ import annotations

import time

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.nocobase.health import (
    HEALTH_PATH,
    INFO_PATH,
    HealthReport,
    read_health,
    read_version,
)
from nbops.nocobase.http import ask_script, read_answers
from nbops.nocobase.plans import Here, here
from nbops.nocobase.runtimes.api import NodeState
from nbops.nocobase.steps.start import node_state
from nbops.nocobase.waiting import Verdict, Wait
from nbops.runbook.spec import ActionSpec, Args

_PAUSE = 0.5
_LOG_LINES = 20


class WaitArgs(Args):
    """The arguments of `nocobase_wait`."""

    silence: float = Field(
        900, gt=0, description="Seconds without any sign of progress after which it has failed."
    )
    limit: float = Field(14400, gt=0, description="Seconds after which it has failed in any case.")


class WaitNode:
    """Waits on the node itself, and tells what the app says of its progress."""

    spec = ActionSpec(
        name="nocobase_wait",
        args=WaitArgs,
        summary="Wait until the node is healthy and of the right version; fail at once when it"
        " cannot become so.",
        example="- nocobase_wait:\n    silence: 1800\n",
        effect=Effect.NONE,
        check="skipped where the app does not run",
        returns={
            "version": "The version that the node serves.",
            "seconds": "How long it took.",
            "log": "Last lines of the app's log, when it failed.",
        },
    )

    def run(self, args: WaitArgs, ctx: ActionContext) -> Result:
        """Looks twice a second; the reason of a failure is the state that does not pass."""
        node = here(ctx.vars)
        wait = Wait(node.cluster.app_version, args.silence, args.limit, time.monotonic)
        began = time.monotonic()
        said = ""
        while True:
            state, health, version = see(node, ctx)
            if ctx.check and not health.up:
                return Result(skipped=True, msg="the app does not run")
            verdict = wait.look(state, health, version)
            if verdict is not Verdict.WAIT:
                break
            if wait.reason != said:
                said = wait.reason
                ctx.progress(said)
            ctx.stop.sleep(_PAUSE)
        seconds = round(time.monotonic() - began, 1)
        if verdict is Verdict.READY:
            return Result(values={"version": version, "seconds": seconds})
        log = _log(node, ctx)
        shown = "".join(f"\n    {line}" for line in log[-8:])
        return Result(
            failed=True,
            msg=f"NocoBase does not come up on {ctx.host}: {wait.reason}"
            + (f"; the last lines of its log:{shown}" if shown else ""),
            values={"version": version, "seconds": seconds, "log": log},
        )


def see(node: Here, ctx: ActionContext) -> tuple[NodeState, HealthReport, str | None]:
    """What runs on the node, how it says it is, and which version it says it has."""
    state = node_state(node, ctx)
    me = node.cluster.me
    urls = (f"{me.here}{HEALTH_PATH}", f"{me.here}{INFO_PATH}")
    health, info = read_answers(ctx.probe(ask_script(urls)).out, len(urls))
    return state, read_health(health.status, health.body), read_version(info.body)


def _log(node: Here, ctx: ActionContext) -> list[str]:
    outcome = ctx.probe(node.runtime.log_script(node.plan, _LOG_LINES))
    return [line.rstrip() for line in outcome.out.splitlines() if line.strip()]
