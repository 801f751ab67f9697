"""`nocobase_wait`: until the node serves its version."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect, quote
from nbops.base.secret import beginning
from nbops.nocobase.cluster import Endpoint
from nbops.nocobase.health import (
    HAS_STARTED,
    HEALTH_PATH,
    INFO_PATH,
    Health,
    HealthReport,
    advice,
    read_health,
    read_version,
)
from nbops.nocobase.http import ask_script, read_answers
from nbops.nocobase.plans import Here, here
from nbops.nocobase.runtimes.api import NodePlan, NodeState, Start
from nbops.nocobase.steps.new import makes_database
from nbops.nocobase.steps.start import node_state, started
from nbops.nocobase.waiting import Verdict, Wait, looks_needed, processes
from nbops.runbook.spec import ActionSpec, Args

_PAUSE = 0.25
_SHORT_PAUSE = 0.05
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
        check="skipped where the app does not run with that version",
        returns={
            "version": "The version that the node serves.",
            "seconds": "How long it took.",
            "log": "Last lines of the app's log, when it failed.",
        },
    )

    def run(self, args: WaitArgs, ctx: ActionContext) -> Result:
        """Looks again and again; the reason of a failure is the state that does not pass."""
        node = here(ctx.vars)
        began = time.monotonic()
        version: str | None = None
        for app, plan in started(node):
            wait = Wait(node.cluster.app_version, args.silence, args.limit, time.monotonic)
            state, version, verdict = _watch(node, app, plan, wait, ctx)
            if verdict is Verdict.WAIT:
                return Result(skipped=True, msg="the app does not run, or with another version")
            if verdict is Verdict.HOPELESS:
                log = _log(node, plan, state, ctx)
                return Result(
                    failed=True,
                    msg=_why(node, app, state, wait.reason, log),
                    values={"version": version, "seconds": _since(began), "log": log},
                )
        return Result(values={"version": version, "seconds": _since(began)})


def _watch(
    node: Here, app: Endpoint, plan: NodePlan, wait: Wait, ctx: ActionContext
) -> tuple[NodeState, str | None, Verdict]:
    """Looks until the wait is over; in check mode once, and WAIT when the app is not up or of
    another version: it was not really started."""
    said = ""
    while True:
        state, health, version = see(node, ctx, app, plan)
        if ctx.check and (not health.up or version != node.cluster.app_version):
            return state, version, Verdict.WAIT
        wait.steady = looks_needed(node.cluster.part("runtime").get("cluster_mode"), state.start)
        verdict = wait.look(state, health, version)
        if verdict is not Verdict.WAIT:
            return state, version, verdict
        if wait.reason != said:
            said = wait.reason
            ctx.progress(said if app.instance == 1 else f"{app.name}: {said}")
        ctx.stop.sleep(_SHORT_PAUSE if wait.promising else _PAUSE)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _why(node: Here, app: Endpoint, state: NodeState, reason: str, log: Sequence[str]) -> str:
    """What went wrong, what to do about it, and what the app itself says."""
    lines = [f"NocoBase does not come up on {app.name}: {reason}"]
    if way := advice(reason):
        lines.append(f"  {way}")
    first = state.start is Start.FIRST and node.release is None
    if first and not makes_database(node.cluster):
        name = node.cluster.part("database").get("name")
        lines.append(
            f"  if it was installing, it may have left half of it in the database {name}, which"
            " no later start completes: drop that database before the next deploy"
        )
    if log:
        lines += ["  the last lines of its log:", *(f"    {line}" for line in log[-8:])]
    return "\n".join(lines)


def see(
    node: Here,
    ctx: ActionContext,
    app: Endpoint | None = None,
    plan: NodePlan | None = None,
) -> tuple[NodeState, HealthReport, str | None]:
    """What runs of one app of the node (default: the first), how it says it is, and which
    version it says it has."""
    state = node_state(node, ctx, plan)
    base = (app or node.cluster.me.endpoints[0]).here
    health, info = read_answers(
        ctx.probe(ask_script((base + HEALTH_PATH, base + INFO_PATH))).out, 2
    )
    report, version = read_health(health.status, health.body), read_version(info.body)
    if node.cluster.me.mute and report.state is Health.STARTING:
        return state, *_overheard(node, plan or node.plan, state, report, ctx)
    return state, report, version


def _overheard(
    node: Here, plan: NodePlan, state: NodeState, report: HealthReport, ctx: ActionContext
) -> tuple[HealthReport, str | None]:
    """How an app is that tells it only in its log: what was started is what is there."""
    log = node.runtime.log_script(plan, 0, state.since).rstrip()
    outcome = ctx.probe(f"{log} | grep -c -F {quote(HAS_STARTED)} || :")
    several = node.cluster.part("runtime").get("cluster_mode")
    if int(outcome.out.strip() or 0) < processes(several, state.start):
        return report, None
    return HealthReport(Health.UP), node.cluster.app_version


def _log(node: Here, plan: NodePlan, state: NodeState, ctx: ActionContext) -> list[str]:
    outcome = ctx.probe(node.runtime.log_script(plan, _LOG_LINES, state.since))
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
    return beginning(line.strip(), _LINE_LENGTH)
