"""Whether visitors can be let in: asked at the nodes themselves, from the balancer's side."""

from __future__ import annotations

from collections.abc import Mapping

from nbops.actions.api import ActionContext
from nbops.nocobase.balancers.here import Here
from nbops.nocobase.health import HEALTH_PATH, INFO_PATH, HealthReport, read_health, read_version
from nbops.nocobase.http import ask_script, read_answers


def why_not_ready(me: Here, ctx: ActionContext) -> str:
    """Why visitors cannot be let in to the nodes that would get their requests; empty when
    they can. One node that answers is enough; two versions never serve together."""
    drained = me.state.drained
    ends = [end for end in me.cluster.endpoints if end.host not in drained]
    urls = [f"{end.there}{path}" for path in (HEALTH_PATH, INFO_PATH) for end in ends]
    answers = read_answers(ctx.probe(ask_script(urls)).out, len(urls))
    health, info = answers[: len(ends)], answers[len(ends) :]
    reports = {
        end.name: read_health(answer.status, answer.body)
        for end, answer in zip(ends, health, strict=True)
    }
    versions = {
        end.name: read_version(answer.body) or "no version"
        for end, answer in zip(ends, info, strict=True)
        if reports[end.name].up
    }
    return judge(reports, versions)


def judge(reports: Mapping[str, HealthReport], versions: Mapping[str, str]) -> str:
    """See `why_not_ready`: from what each node said of itself, and its version if it serves."""
    if not any(report.up for report in reports.values()):
        said = "; ".join(f"{name}: {report}" for name, report in reports.items())
        return f"no node serves ({said or 'there is none'})"
    if len(set(versions.values())) > 1:
        said = ", ".join(f"{name} {version}" for name, version in versions.items())
        return f"the nodes have different versions ({said})"
    return ""
