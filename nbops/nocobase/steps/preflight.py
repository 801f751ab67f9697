"""`nocobase_preflight`: everything that could stop a run, said at once and for all hosts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.base.errors import ActionFailed
from nbops.nocobase.balancers.tls import expiry_warnings, read_tls
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.preflight_model import Finding, Level, read_look
from nbops.nocobase.preflight_needs import LOOK, needs_of, situation_of
from nbops.nocobase.preflight_script import look_env, look_script
from nbops.nocobase.preflight_shared import all_findings
from nbops.runbook.spec import ActionSpec, Args

_DEADLINE = 120.0


class PreflightArgs(Args):
    """The arguments of `nocobase_preflight`."""

    state: Literal["look", "judge"] = Field(
        description="`look` at the host, and find nothing yet; then `judge` what was seen on all"
        " hosts together: a host fails with all that was found on it."
    )


class Preflight:
    """Looks at hosts for what they are in the cluster; changes nothing."""

    spec = ActionSpec(
        name="nocobase_preflight",
        args=PreflightArgs,
        summary="Find everything that could stop a deploy or upgrade, and what to do about it.",
        example="- nocobase_preflight: look\n- nocobase_preflight: judge\n",
        free_form="state",
        effect=Effect.NONE,
        returns={"findings": "What was found: `level`, `what` and `remedy` of each."},
    )

    def run(self, args: PreflightArgs, ctx: ActionContext) -> Result:
        """Hosts are compared with each other, so all look before one judges."""
        return self._look(ctx) if args.state == "look" else self._judge(ctx)

    def _look(self, ctx: ActionContext) -> Result:
        cluster = cluster_of(ctx.vars)
        needs = needs_of(cluster, cluster.me)
        began = time.time()
        outcome = ctx.probe(look_script(needs), env=look_env(needs), deadline=_DEADLINE)
        look = read_look(outcome.out, began, time.time())
        if not outcome.ok or not look.text("end"):
            why = outcome.err.strip() or f"exit status {outcome.status}"
            raise ActionFailed(f"cannot look at {ctx.host}: {why}")
        return Result(facts={LOOK: look.as_fact()})

    def _judge(self, ctx: ActionContext) -> Result:
        cluster = cluster_of(ctx.vars)
        every = all_findings(situation_of(cluster, ctx.vars))
        found = [one for one in every if one.host == cluster.me.host]
        found += certificate_findings(cluster, ctx.vars)
        problems = [one for one in found if one.level is Level.PROBLEM]
        return Result(
            failed=bool(problems),
            msg=_told(ctx.host, problems),
            values={"findings": [one.as_dict() for one in found]},
            warnings=tuple(str(one) for one in found if one.level is Level.WARNING),
        )


def certificate_findings(cluster: Cluster, variables: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with the certificate that this host is to serve with. It lies on this
    computer."""
    me = cluster.me
    tls = me.part("balancer").get("tls")
    if not tls or me.host not in cluster.groups.get("balancer", ()):
        return []
    try:
        pair = read_tls(Path(str(variables["inventory_dir"])), tls)
        soon = expiry_warnings(pair.certificate)
    except ActionFailed as error:
        (problem,) = error.problems
        return [Finding(me.host, Level.PROBLEM, problem.message, problem.hint or "")]
    way = "renew it, and `nbops deploy`"
    return [Finding(me.host, Level.WARNING, words, way) for words in soon]


def _told(host: str, problems: Sequence[Finding]) -> str:
    if not problems:
        return ""
    return "\n".join([f"{host} is not ready:", *(f"  - {one}" for one in problems)])
