"""`redis_server`: the Redis that nbops runs itself."""

from __future__ import annotations

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import RefusedError
from nbops.base.secret import Secret, reveal
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.redis import RedisPlan, serve
from nbops.runbook.spec import ActionSpec, NoArgs


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


def redis_plan(cluster: Cluster) -> RedisPlan:
    """Redis as the settings of a host have it."""
    part = cluster.part("redis")
    password = part.get("password")
    return RedisPlan(
        port=int(part.get("port") or 6379),
        password=Secret(reveal(password)) if password else None,
    )
