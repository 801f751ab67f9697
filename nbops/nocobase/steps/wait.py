"""`nocobase_wait`: until the node serves its version."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.nocobase.health import (
    HEALTH_PATH,
    INFO_PATH,
    HealthReport,
    advice,
    read_health,
    read_version,
)
from nbops.nocobase.http import ask_script, read_answers
from nbops.nocobase.plans import Here, here
from nbops.nocobase.runtimes.api import NodeState, Start
from nbops.nocobase.steps.start import node_state
from nbops.nocobase.waiting import Verdict, Wait
from nbops.runbook.spec import ActionSpec, Args

_PAUSE = 0.5
_LOG_LINES = 60
_LINE_LENGTH = 240


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
        return Result(
            failed=True,
            msg=_why(node, state, wait.reason, log),
            values={"version": version, "seconds": seconds, "log": log},
        )


def _why(node: Here, state: NodeState, reason: str, log: Sequence[str]) -> str:
    """What went wrong, what to do about it, and what the app itself says."""
    lines = [f"NocoBase does not come up on {node.plan.host}: {reason}"]
    if way := advice(reason):
        lines.append(f"  {way}")
    if state.start is Start.FIRST and node.release is None:
        name = node.cluster.part("database").get("name")
        lines.append(
            f"  if it was installing, it may have left half of it in the database {name}, which"
            " no later start completes: drop that database before the next deploy"
        )
    if log:
        lines += ["  the last lines of its log:", *(f"    {line}" for line in log[-8:])]
    return "\n".join(lines)


def see(node: Here, ctx: ActionContext) -> tuple[NodeState, HealthReport, str | None]:
    """What runs on the node, how it says it is, and which version it says it has."""
    state = node_state(node, ctx)
    me = node.cluster.me.endpoints[0]
    urls = (f"{me.here}{HEALTH_PATH}", f"{me.here}{INFO_PATH}")
    health, info = read_answers(ctx.probe(ask_script(urls)).out, len(urls))
    return state, read_health(health.status, health.body), read_version(info.body)


def _log(node: Here, ctx: ActionContext) -> list[str]:
    outcome = ctx.probe(node.runtime.log_script(node.plan, _LOG_LINES))
    return telling(outcome.out.splitlines())


def telling(lines: Sequence[str]) -> list[str]:
    """The lines of a log that tell something: shortened, and what is said again left out.

    The app logs in JSON, with a time and a number in every line: only level and message count.
    """
    return list(dict.fromkeys(said for line in lines if (said := _said(line))))


def _said(line: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if isinstance(entry, dict) and entry.get("message"):
        line = f"{entry.get('level', '')}: {entry['message']}"
    return line.strip()[:_LINE_LENGTH]
