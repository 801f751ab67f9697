"""`nocobase_change`: what a deploy has to do; and `nocobase_leave`: a node that goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect, quote
from nbops.base.errors import ActionFailed, RefusedError
from nbops.nocobase.changes import Change, Difference, Scope, Standing, decide, differences
from nbops.nocobase.cluster import STATE_FOLDER, Cluster, cluster_of
from nbops.nocobase.databases.here import in_use
from nbops.nocobase.decisions import Peer, why_start
from nbops.nocobase.health import HEALTH_PATH, INFO_PATH, read_health, read_version
from nbops.nocobase.http import ask_script, read_answers
from nbops.nocobase.plans import RECORDS, Here, here, plans_in, recorded, wanted_release
from nbops.nocobase.releases import Release
from nbops.nocobase.runtimes.api import NodePlan
from nbops.nocobase.runtimes.kinds import runtime
from nbops.nocobase.steps.leavers import out_of_reach
from nbops.nocobase.steps.node import look
from nbops.nocobase.steps.release import known, none_pending
from nbops.nocobase.steps.start import node_state
from nbops.nocobase.steps.stop import surplus
from nbops.runbook.spec import ActionSpec, Args

STANDING = "nocobase_standing"
CHANGE = "nocobase_change"
_NOT_YET = "it does not serve yet"
_CLOSED = "closed"  # beside the releases: the 503 page is one that a run of ours put up


class ChangeArgs(Args):
    """The arguments of `nocobase_change`."""

    state: Literal["look", "judge", "recorded"] = Field(
        description="`look` at the node; `judge`, from the looks of all, what is to be done;"
        " `recorded` tells which nodes the present release has, and refuses when there is none."
    )


class PlanChange:
    """What is recorded, what is wanted and what runs, held against each other."""

    spec = ActionSpec(
        name="nocobase_change",
        args=ChangeArgs,
        summary="Find out what has to be done to bring the nodes to what the inventory says, and"
        " whether one by one or all together.",
        example="- nocobase_change: look\n- nocobase_change: judge\n",
        free_form="state",
        effect=Effect.NONE,
        returns={
            "way": "`first`, `nothing`, `one by one` or `together`.",
            "new": "Nodes that no release has: all at the first deploy.",
            "start": "Nodes that do not run, or that all stop, and are to be started.",
            "stop": "Nodes that stop together.",
            "restart": "Nodes that are restarted one by one.",
            "leave": "Nodes that are in the group `app` no more.",
            "gone": "Nodes that are in the inventory no more.",
            "close": "Whether visitors have to be sent away.",
            "open": "Whether they are let in again at the end.",
            "backup": "Whether the database has to be backed up.",
            "told": "What will be done, and why, in sentences.",
            "nodes": "With `recorded`: the nodes of the present release.",
        },
    )

    def run(self, args: ChangeArgs, ctx: ActionContext) -> Result:
        """Nodes are compared with each other, so all look before one judges."""
        cluster = cluster_of(ctx.vars)
        if args.state == "look":
            found = _standing(here(ctx.vars), ctx)
            return Result(facts={STANDING: asdict(found)})
        if args.state == "recorded":
            return _recorded(cluster)
        change = _judge(cluster)
        values = _plain(change)
        return Result(values=values, facts={CHANGE: values}, warnings=_warnings(cluster, change))


def present(cluster: Cluster) -> Release | None:
    """The present release with its files; None when nothing is deployed.

    Raises ActionFailed when `nocobase_release: open` did not come first.
    """
    last = known(cluster)
    if last is None:
        return None
    if cluster.fact(cluster.me.host, RECORDS) is None:
        raise ActionFailed(
            "the records are not at hand", hint="`nocobase_release: open` comes first"
        )
    return recorded(cluster, last["number"])


def _judge(cluster: Cluster) -> Change:
    record = present(cluster)
    standings = []
    for node in cluster.nodes:
        found: Mapping[str, Any] | None = cluster.fact(node.host, STANDING)
        if found is None:
            raise ActionFailed(
                f"{node.host} was not looked at", hint="`nocobase_change: look` comes first"
            )
        changes = tuple(
            Difference(one["name"], Scope(one["scope"]), one["why"]) for one in found["changes"]
        )
        standings.append(Standing(**{**found, "changes": changes}))
    names = list(record.nodes) if record else None
    try:
        return decide(names, list(cluster.hostvars), standings)
    except ValueError as error:
        raise RefusedError(
            str(error), hint="deploy the new nodes beside the old ones first, then take those out"
        ) from None


def _plain(change: Change) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in (asdict(change) | {"way": change.way.value}).items()
    }


def _recorded(cluster: Cluster) -> Result:
    none_pending(cluster)
    record = present(cluster)
    if record is None:
        raise RefusedError(
            f"{cluster.name} is not deployed yet", hint="`nbops deploy` is for the first time"
        )
    away = [host for host in record.nodes if host not in cluster.groups.get("app", ())]
    nodes = [node.host for node in cluster.nodes if node.host in record.nodes]
    if cluster.first.host not in nodes:
        raise ActionFailed(
            f"{cluster.first.host} is no node of release {record.number} yet, and would be the"
            " first to start",
            hint="`nbops deploy` brings the cluster to what the inventory says",
        )
    told = {"number": record.number, "version": record.version, "nodes": nodes}
    return Result(
        values=told,
        facts={"nocobase_recorded": told},
        warnings=tuple(
            f"{host} is a node of release {record.number} and not in the group `app`: it is left"
            " as it is"
            for host in away
            if cluster.me.host == cluster.first.host
        ),
    )


def _warnings(cluster: Cluster, change: Change) -> tuple[str, ...]:
    record = present(cluster)
    if record is None or cluster.me.host != cluster.first.host:
        return ()
    return tuple(out_of_reach(record, cluster, host) for host in change.gone)


def _standing(node: Here, ctx: ActionContext) -> Standing:
    """How a node stands to what is recorded and what is wanted."""
    cluster, host = node.cluster, node.cluster.me.host
    record = present(cluster)
    before = (record.nodes.get(host) if record else None) or ()
    wanted = wanted_release(cluster).nodes[host]
    changes = differences(before, wanted) if before else ()
    visited = cluster.me.serves
    image = look(node, ctx).image
    recorded_ones = _recorded_configurations(record, host, cluster) if record and before else {}
    whys, runs, up, strange = [], False, True, False
    for (app, plan), peer in zip(node.apps(), _peers(node, ctx), strict=True):
        state = node_state(node, ctx, plan)
        configuration = node.runtime.configuration(plan)
        why = why_start(state, peer.health, configuration, image, plan.several)
        if not why and not peer.health.up and not cluster.me.mute:
            why = _NOT_YET
        if why:
            whys.append(why if app.instance == 1 else f"{app.name}: {why}")
        sound = state.running and why != _NOT_YET and not why.startswith("it is broken")
        runs = runs or sound
        up = up and peer.health.up
        right = {configuration, recorded_ones.get(plan.name, configuration)}
        strange = strange or (sound and state.configuration not in right)
    note = f"{STATE_FOLDER}/{cluster.name}/{_CLOSED}"
    others = [] if record is None else surplus(node, ctx)
    if others:
        whys.append("something runs there that the inventory does not name any more")
    return Standing(
        host=host,
        due="; ".join(dict.fromkeys(whys)),
        runs=runs or bool(others),
        up=up,
        known=not strange,
        visited=visited,
        changes=changes,
        closed=ctx.probe(f"[ -e {quote(note)} ]").ok,
    )


def _recorded_configurations(record: Release, host: str, cluster: Cluster) -> dict[str, str]:
    kind, plans = plans_in(record, host, in_use(cluster))
    configuration = runtime(kind).configuration
    return {plan.name: configuration(plan) for plan in plans}


def _peers(node: Here, ctx: ActionContext) -> list[Peer]:
    """The apps of the node itself, as they answer now."""
    apps = node.cluster.me.endpoints
    urls = [f"{app.here}{path}" for app in apps for path in (HEALTH_PATH, INFO_PATH)]
    answers = read_answers(ctx.probe(ask_script(urls)).out, len(urls))
    return [
        Peer(
            app.name,
            read_health(answers[2 * at].status, answers[2 * at].body),
            read_version(answers[2 * at + 1].body),
        )
        for at, app in enumerate(apps)
    ]


class LeaveArgs(Args):
    """The arguments of `nocobase_leave`."""

    grace: int = Field(60, ge=0, description="Seconds that the app has to finish its requests.")


class Leave:
    """Stops what a release has on a host that is a node no more."""

    spec = ActionSpec(
        name="nocobase_leave",
        args=LeaveArgs,
        summary="Stop the app on a host that was a node of the present release and is none any"
        " more; delegated to that host. Its files stay.",
        example='- nocobase_leave:\n  delegate_to: "{{ item }}"\n'
        '  loop: "{{ nocobase_change.leave }}"\n',
        returns={"stopped": "Names of what was stopped, as the host knows it."},
    )

    def run(self, args: LeaveArgs, ctx: ActionContext) -> Result:
        """It does not come back by itself. Refused for a node of the group `app`."""
        cluster = cluster_of(ctx.vars)
        record = present(cluster)
        if record is None or ctx.host in cluster.groups.get("app", ()):
            raise ActionFailed(f"{ctx.host} is no host that leaves {cluster.name}")
        kind, plans = plans_in(record, ctx.host, in_use(cluster))
        stopped = _stop(kind, plans, args.grace, ctx)
        return Result(changed=bool(stopped), values={"stopped": stopped})


def _stop(kind: str, plans: Sequence[NodePlan], grace: int, ctx: ActionContext) -> list[str]:
    there, stopped = runtime(kind), []
    for plan in plans:
        outcome = ctx.probe(there.state_script(plan))
        if not outcome.ok:
            raise ActionFailed(f"{kind} does not answer on {ctx.host}: {outcome.err.strip()}")
        state = there.read_state(outcome.out)
        if not state.there or not (state.running or state.comes_back):
            continue
        stopped.append(plan.name)
        if ctx.check:
            continue
        outcome = ctx.act(there.stop_script(plan, grace), deadline=grace + 120)
        if not outcome.ok:
            raise ActionFailed(f"{plan.name} cannot be stopped: {outcome.err.strip()}")
    return stopped
