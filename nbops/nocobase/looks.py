"""Looks at the parts of a cluster, for commands that only read: each asks one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

from nbops.actions.api import ActionContext
from nbops.base.command import Outcome, Text
from nbops.base.errors import ActionFailed
from nbops.nocobase.balancers.ask import Mode, Said, local_door, look_script, read_look
from nbops.nocobase.balancers.kinds import balancer
from nbops.nocobase.balancers.plan import short_plan
from nbops.nocobase.cluster import Cluster, Member
from nbops.nocobase.databases.here import database_here, look, with_login
from nbops.nocobase.environment import REDIS_DATABASES, Addresses, redis_url, uses_redis
from nbops.nocobase.glance import PAGE, TRAFFIC, AppSeen, BalancerSeen, DatabaseSeen, RedisSeen
from nbops.nocobase.glance import moment as told_moment
from nbops.nocobase.health import HEALTH_PATH, INFO_PATH, read_health, read_version
from nbops.nocobase.http import ask_script, read_answers
from nbops.nocobase.plans import node_plans, runtime_of
from nbops.nocobase.redis_talk import answers, server_of, talk

FACT = "nocobase_release"


class Looker(Protocol):
    """What looks at one host."""

    @property
    def host(self) -> str:
        """The inventory's name of the host."""

    def probe(self, script: Text, *, stdin: bytes | None = None) -> Outcome:
        """Run a script that changes nothing."""

    def stage(self, content: bytes) -> str:
        """Content as a file of mode 0600 in this command's folder on the host."""


def at_release(cluster: Cluster, release: Mapping[str, Any] | None) -> Cluster:
    """The cluster with what is recorded of it: which database is in use stands there."""
    facts: dict[str, Mapping[str, Any]] = {host: {FACT: release} for host in cluster.members}
    return replace(cluster, hostvars=facts)


def look_at_apps(cluster: Cluster, node: Member, ctx: Looker) -> list[AppSeen]:
    """The apps of a node. Raises ActionFailed when its runtime does not answer."""
    runtime = runtime_of(node)
    ends = node.endpoints
    urls = [end.here + path for end in ends for path in (HEALTH_PATH, INFO_PATH)]
    said = read_answers(ctx.probe(ask_script(urls)).out, len(urls))
    found = []
    for number, (end, plan) in enumerate(zip(ends, node_plans(cluster, node), strict=True)):
        outcome = ctx.probe(runtime.state_script(plan))
        if not outcome.ok:
            raise ActionFailed(f"{runtime.kind} does not answer on {ctx.host}: {outcome.err}")
        state = runtime.read_state(outcome.out)
        answer, info = said[2 * number : 2 * number + 2]
        health = read_health(answer.status, answer.body)
        mute = node.mute and state.running
        found.append(
            AppSeen(
                host=node.host,
                name=end.name,
                runtime=runtime.kind,
                running=state.running,
                up=health.up or mute,
                health="says nothing (worker_mode `-`)" if mute else str(health),
                version=read_version(info.body) or "",
                since=told_moment(state.since) if state.running else "",
                restarts=state.restarts,
                comes_back=state.comes_back,
                visited=node.serves,
            )
        )
    return found


def look_at_balancer(cluster: Cluster, ctx: Looker) -> BalancerSeen:
    """A balancer from its own host: what a visitor gets there now, and from whom.

    Raises ActionFailed when the host does not tell.
    """
    here = replace(cluster, me=cluster.members[ctx.host])
    kind = balancer(str(here.part("balancer")["kind"]))
    (said,) = read_look(ctx.probe(look_script([local_door(here)])).out, 1)
    if kind.kind == "external":
        return BalancerSeen(host=ctx.host, kind=kind.kind, gives=given(said))
    # To look, a balancer asks its host and does nothing else.
    state = kind.look(short_plan(here), cast("ActionContext", ctx))
    return BalancerSeen(
        host=ctx.host,
        kind=kind.kind,
        gives=given(said),
        running=state.running,
        nodes=state.nodes,
        drained=state.drained,
    )


def given(said: Said) -> str:
    """What a visitor gets, in a few words."""
    if said.fits(Mode.TRAFFIC):
        return TRAFFIC
    if said.status == 503 and said.marked:
        return PAGE
    return str(said)


def look_at_redis(cluster: Cluster, ctx: Looker) -> list[RedisSeen]:
    """Every Redis server that the settings lead to, as this host reaches it."""
    part = cluster.part("redis")
    addresses = Addresses(
        database="", redis={one.host: one.address for one in cluster.group("redis")}
    )
    if not uses_redis(part, addresses):
        return []
    servers: dict[str, list[str]] = {}
    urls: dict[str, Text] = {}
    for function in REDIS_DATABASES:
        url = redis_url(part, function, addresses)
        server = server_of(url)
        place = f"{server.host}:{server.port}"
        servers.setdefault(place, []).append(function)
        urls.setdefault(place, url)
    return [_redis(place, tuple(servers[place]), urls[place], ctx) for place in servers]


def _redis(place: str, functions: tuple[str, ...], url: Text, ctx: Looker) -> RedisSeen:
    script, said = talk(url, [["INFO", "server"]])
    outcome = ctx.probe(script, stdin=said)
    try:
        told = answers(outcome.stdout)
    except ValueError:
        told = []
    lines = [line for text in told for line in text.splitlines()]
    version = next((line[14:] for line in lines if line.startswith("redis_version:")), "")
    refused = next((text[1:] for text in told if text.startswith("-")), "no answer")
    return RedisSeen(
        place=place,
        functions=functions,
        up=bool(version),
        version=version.strip(),
        said="" if version else refused,
    )


def look_at_database(cluster: Cluster, ctx: Looker) -> DatabaseSeen:
    """The database in use, from where its tools run.

    Raises ActionFailed when it does not answer, or is not there.
    """
    here = with_login(database_here(cluster), ctx.stage)
    seen = look(here, ctx)
    if here.name not in seen.server.databases:
        raise ActionFailed(
            f"there is no database {here.name} on {here.access.host or here.host.host}",
            hint="`nbops backups` lists those that were kept",
        )
    return DatabaseSeen(
        host=here.access.host or here.host.host,
        kind=here.copies.kind,
        name=here.name,
        server=seen.server.version,
        size=seen.held,
        version=seen.inside.version,
    )
