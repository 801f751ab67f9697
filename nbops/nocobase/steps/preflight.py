"""`nocobase_preflight`: everything that could stop a deploy, said at once."""

from __future__ import annotations

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.base.errors import ActionFailed
from nbops.nocobase.balancers.kinds import balancer
from nbops.nocobase.cluster import STATE_FOLDER, Cluster, cluster_of
from nbops.nocobase.databases.kinds import database
from nbops.nocobase.plans import here
from nbops.nocobase.preflight import Needs, Port, Space, findings, look_script, read_look
from nbops.nocobase.redis import PROGRAMS as REDIS_PROGRAMS
from nbops.runbook.spec import ActionSpec, NoArgs

_IMAGE_ROOM = 3072
_STATE_ROOM = 64
_DATABASE_ROOM = 1024
_CURL = {"curl": "`apt-get install curl`"}


class Preflight:
    """Looks at a host for what it is in the cluster; changes nothing."""

    spec = ActionSpec(
        name="nocobase_preflight",
        args=NoArgs,
        summary="Find everything on the host that could stop a deploy, and what to do about it.",
        example="- nocobase_preflight:\n",
        effect=Effect.NONE,
        returns={"findings": "What was found, one text for each."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Kinds that are not built are refused here, before anything is changed."""
        cluster = cluster_of(ctx.vars)
        needs = merge([_any(), *_by_role(cluster, ctx)])
        outcome = ctx.probe(look_script(needs))
        if not outcome.ok:
            raise ActionFailed(f"cannot look at {ctx.host}: {outcome.err.strip()}")
        found = [str(one) for one in findings(needs, read_look(outcome.out))]
        return Result(
            failed=bool(found),
            msg="\n".join([f"{ctx.host} is not ready:", *(f"  - {one}" for one in found)])
            if found
            else "",
            values={"findings": found},
        )


def merge(parts: list[Needs]) -> Needs:
    """What a host must have that is several things at once."""
    return Needs(
        programs={name: how for part in parts for name, how in part.programs.items()},
        space=tuple(dict.fromkeys(one for part in parts for one in part.space)),
        ports=tuple(one for part in parts for one in part.ports),
        storage=next((part.storage for part in parts if part.storage), ""),
        docker=any(part.docker for part in parts),
    )


def _any() -> Needs:
    return Needs(space=(Space(STATE_FOLDER, _STATE_ROOM),))


def _by_role(cluster: Cluster, ctx: ActionContext) -> list[Needs]:
    me = cluster.me.host
    needs = []
    if me in cluster.groups.get("app", ()):
        needs.append(_node(cluster, ctx))
    if me in cluster.groups.get("database", ()) and cluster.part("database").get("managed"):
        kind = database(str(cluster.part("database")["kind"]))
        port = int(cluster.part("database").get("port") or 5432)
        needs.append(
            Needs(
                programs=dict.fromkeys(kind.programs, "`apt-get install postgresql`"),
                ports=(Port(port, ("postgres",)),),
                space=(Space("/var/lib/postgresql", _DATABASE_ROOM),),
            )
        )
    if me in cluster.groups.get("redis", ()) and cluster.part("redis").get("managed"):
        needs.append(
            Needs(
                programs=dict.fromkeys(REDIS_PROGRAMS, "`apt-get install redis-server`"),
                ports=(Port(int(cluster.part("redis").get("port") or 6379), ("redis-server",)),),
            )
        )
    if me in cluster.groups.get("balancer", ()):
        balancing = balancer(str(cluster.part("balancer")["kind"]))
        programs = dict.fromkeys(balancing.programs, "`apt-get install nginx`")
        port = int(cluster.part("balancer").get("port") or 80)
        needs.append(Needs(programs=programs | _CURL, ports=(Port(port, tuple(programs)),)))
    return needs


def _node(cluster: Cluster, ctx: ActionContext) -> Needs:
    node = here(ctx.vars)
    return Needs(
        programs={"docker": "`apt-get install docker.io docker-compose`", **_CURL},
        docker=True,
        ports=(Port(cluster.me.port, ("docker-proxy",)),),
        space=(Space("/var/lib/docker", _IMAGE_ROOM),),
        storage=node.plan.storage if node.shared_storage else "",
    )
