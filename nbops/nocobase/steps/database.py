"""Actions on the database that nbops runs itself."""

from __future__ import annotations

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import RefusedError
from nbops.base.secret import Secret, reveal
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.databases.api import Database, DatabasePlan
from nbops.nocobase.databases.here import in_use
from nbops.nocobase.databases.kinds import database
from nbops.nocobase.environment import read_env_file
from nbops.nocobase.plans import recorded
from nbops.runbook.spec import ActionSpec, NoArgs


class DatabaseServer:
    """Has the server serve the nodes, and nobody else."""

    spec = ActionSpec(
        name="database_server",
        args=NoArgs,
        summary="Configure and start the database server; only the nodes may connect.",
        example="- database_server:\n",
        returns={"files": "Paths of the files that were different.", "version": "The server's."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Nothing is restarted when nothing is different."""
        kind, plan = _plan(ctx)
        return kind.serve(plan, ctx)


class DatabaseCreate:
    """Makes the cluster's database."""

    spec = ActionSpec(
        name="database_create",
        args=NoArgs,
        summary="Make the database and its user where they are missing.",
        example="- database_create:\n",
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """The password is mended when it is another; no data is ever touched."""
        kind, plan = _plan(ctx)
        return kind.create(plan, ctx)


def _plan(ctx: ActionContext) -> tuple[Database, DatabasePlan]:
    cluster = cluster_of(ctx.vars)
    part = cluster.part("database")
    if not part.get("managed"):
        raise RefusedError(
            "the inventory does not say that nbops runs the database",
            hint="`database.managed: true`, or no such step in the runbook",
        )
    return database(str(part["kind"])), database_plan(cluster)


def database_plan(cluster: Cluster) -> DatabasePlan:
    """The database as the settings of a host have it, or with the user and the password of the
    release that is aimed at; the one in use, where a restore put another in its place.

    Raises ActionFailed when no host has the record of that release.
    """
    part = cluster.part("database")
    user, password = str(part["user"]), reveal(part["password"])
    if cluster.aim is not None:
        plans = next(iter(recorded(cluster, cluster.aim).nodes.values()))
        env = read_env_file(str(plans[0]["environment"]))
        user, password = env["DB_USER"], env["DB_PASSWORD"]
    return DatabasePlan(
        name=in_use(cluster),
        user=user,
        password=Secret(password),
        port=int(part.get("port") or 5432),
        clients=tuple(dict.fromkeys(node.address for node in cluster.nodes)),
        deployed=any(cluster.fact(host, "nocobase_release") for host in cluster.members),
    )
