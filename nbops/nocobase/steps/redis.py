"""The actions on Redis: the servers that nbops runs itself, and what the cluster keeps there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Outcome, Text
from nbops.base.errors import ActionFailed, RefusedError
from nbops.base.secret import Secret, reveal
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.environment import REDIS_DATABASES, Addresses, redis_url, uses_redis
from nbops.nocobase.redis import RedisPlan, serve, start, stop
from nbops.nocobase.redis_talk import Server, answers, server_of, talk
from nbops.runbook.spec import ActionSpec, Args, NoArgs


class RedisServer:
    """Has Redis serve the nodes."""

    spec = ActionSpec(
        name="redis_server",
        args=NoArgs,
        summary="Configure and start Redis.",
        example="- redis_server:\n",
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Nothing is restarted when nothing is different."""
        cluster = cluster_of(ctx.vars)
        if not cluster.part("redis").get("managed"):
            raise RefusedError(
                "the inventory does not say that nbops runs Redis",
                hint="`redis.managed: true`, or no such step in the runbook",
            )
        return serve(redis_plan(cluster), ctx)


class RedisStop:
    """Stops the Redis that nbops runs; what is in it stays on its disk."""

    spec = ActionSpec(
        name="redis_stop",
        args=NoArgs,
        summary="Stop Redis where nbops runs it; its data stays.",
        example="- redis_stop:\n",
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Skipped where Redis is another's."""
        if not cluster_of(ctx.vars).part("redis").get("managed"):
            return Result(skipped=True, msg="Redis is not run by nbops")
        return stop(ctx)


class RedisStart:
    """Starts the Redis that nbops runs, as it is configured."""

    spec = ActionSpec(
        name="redis_start",
        args=NoArgs,
        summary="Start Redis where nbops runs it, and wait until it answers.",
        example="- redis_start:\n",
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Skipped where Redis is another's."""
        cluster = cluster_of(ctx.vars)
        if not cluster.part("redis").get("managed"):
            return Result(skipped=True, msg="Redis is not run by nbops")
        return start(redis_plan(cluster), ctx)


class ClearArgs(Args):
    """The arguments of `redis_clear`."""

    functions: tuple[Literal["cache", "lock", "queue", "worker_id"], ...] = Field(
        default=("cache", "lock"), description="whose keys go"
    )


class RedisClear:
    """Empties the cluster's own databases of Redis, by their numbers, never all."""

    spec = ActionSpec(
        name="redis_clear",
        args=ClearArgs,
        summary="Remove the cluster's cached values and locks from Redis, by their numbers.",
        example="- redis_clear:\n",
        check="says what would be cleared",
        returns={"cleared": "The functions whose keys went."},
    )

    def run(self, args: ClearArgs, ctx: ActionContext) -> Result:
        """A number that another function uses too is left alone, with a warning: the queue must
        not go. Runs on any host that reaches Redis."""
        cluster = cluster_of(ctx.vars)
        urls = _urls(cluster)
        if not urls:
            return Result(skipped=True, msg="the cluster has no Redis")
        alone, shared = clearable(urls, args.functions)
        cleared = []
        for name in alone:
            script, said = talk(urls[name], [["DBSIZE"], ["FLUSHDB"]])
            if ctx.check:
                script, said = talk(urls[name], [["DBSIZE"]])
            outcome = (ctx.probe if ctx.check else ctx.act)(script, stdin=said)
            cleared += [name] if _keys(name, outcome, ctx) else []
        warnings = tuple(
            f"redis.{name} is not cleared: its database also serves {other}"
            for name, other in shared
        )
        return Result(changed=bool(cleared), values={"cleared": cleared}, warnings=warnings)


def empty(cluster: Cluster, ctx: ActionContext) -> list[str]:
    """The functions whose database of Redis has no key, for `redis_clear`; none where Redis does
    not answer. Asked from the host that acts; changes nothing."""
    found = []
    for name, url in _urls(cluster).items():
        script, said = talk(url, [["DBSIZE"]])
        if name != "pubsub" and _count(ctx.probe(script, stdin=said))[0] == 0:
            found.append(name)
    return found


def _urls(cluster: Cluster) -> dict[str, Text]:
    """The address of each function; none when the cluster has no Redis."""
    addresses = Addresses("", {one.host: one.address for one in cluster.group("redis")})
    part = cluster.part("redis")
    if not uses_redis(part, addresses):
        return {}
    return {name: redis_url(part, name, addresses) for name in REDIS_DATABASES}


def clearable(
    urls: Mapping[str, Text], wanted: Sequence[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Of the wanted functions those that can be cleared, one for each database; and those that
    cannot, each with the function that lives in the same database. Messages between nodes are
    not kept, so they lose nothing."""
    places = {name: server_of(url) for name, url in urls.items()}
    alone: dict[Server, str] = {}
    shared = []
    for name in wanted:
        others = [
            other
            for other, place in places.items()
            if place == places[name] and other not in {*wanted, "pubsub"}
        ]
        if others:
            shared.append((name, others[0]))
        else:
            alone.setdefault(places[name], name)
    return list(alone.values()), shared


def _keys(name: str, outcome: Outcome, ctx: ActionContext) -> int:
    """How many keys there were. Raises ActionFailed when Redis refused or did not answer."""
    count, wrong = _count(outcome)
    if count is None:
        raise ActionFailed(
            f"Redis for `{name}` cannot be cleared from {ctx.host}:"
            f" {wrong or outcome.err.strip() or 'no answer'}",
            hint="`nbops check` says what is wrong with it",
        )
    return count


def _count(outcome: Outcome) -> tuple[int | None, str]:
    """The number that was answered; None, and what Redis says is wrong, where there is none."""
    try:
        said = answers(outcome.stdout)
    except ValueError:
        said = []
    wrong = next((one for one in said if one.startswith("-")), "")
    counts = [int(one) for one in said if one.isdigit()]
    return (None if wrong or not counts else counts[0]), wrong


def redis_plan(cluster: Cluster) -> RedisPlan:
    """Redis as the settings of a host have it, with a database for every number in use."""
    part = cluster.part("redis")
    password = part.get("password")
    numbers = [(part.get(name) or {}).get("database") or 0 for name in REDIS_DATABASES]
    return RedisPlan(
        port=int(part.get("port") or 6379),
        password=Secret(reveal(password)) if password else None,
        databases=max(16, *(int(number) + 1 for number in numbers)),
    )
