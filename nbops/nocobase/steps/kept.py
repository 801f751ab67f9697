"""`nocobase_settings`: what stands where a deploy is to write for the first time, kept and put
back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import ActionFailed
from nbops.nocobase import redis
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.databases.kinds import database
from nbops.nocobase.kept import Before, Service, back_script, forget_script, keep_script
from nbops.nocobase.plans import here
from nbops.nocobase.steps.new import data_stays, is_new
from nbops.runbook.spec import ActionSpec, Args


class SettingsArgs(Args):
    """The arguments of `nocobase_settings`."""

    state: Literal["kept", "put_back", "forgotten"] = Field(
        description="`kept` aside; `put_back` as they were, with what nbops made taken away, and"
        " servers stopped that did not run; `forgotten`, when the deploy stays."
    )


class Settings:
    """Keeps the settings of nodes and servers, and puts them back."""

    spec = ActionSpec(
        name="nocobase_settings",
        args=SettingsArgs,
        summary="Keep the settings of new nodes, and of the database and Redis that nbops runs, as"
        " they were before; put them back when the deploy fails.",
        example="- nocobase_settings: kept\n  rollback:\n    - nocobase_settings: put_back\n",
        free_form="state",
        check="skipped",
        returns={"files": "The files that are kept or put back, where they were there."},
    )

    def run(self, args: SettingsArgs, ctx: ActionContext) -> Result:
        """The settings of a node stay where the app's data do: they have its keys. After an
        adoption those that were there before have them."""
        cluster = cluster_of(ctx.vars)
        run = str(ctx.vars["nbops_run"])
        before = Before() if args.state == "forgotten" else _before(cluster, ctx)
        values = {"files": list(before.paths)}
        if ctx.check:
            return Result(skipped=True, values=values)
        match args.state:
            case "kept":
                script = keep_script(cluster.name, run, before)
            case "put_back":
                stays = data_stays(cluster) and not ctx.vars.get("nbops_adopt")
                script = back_script(cluster.name, run, before, files=not stays)
            case "forgotten":
                script = forget_script(cluster.name)
        outcome = ctx.act(script)
        if not outcome.ok:
            raise ActionFailed(
                f"the settings on {ctx.host} cannot be {args.state.replace('_', ' ')}:"
                f" {outcome.err.strip()}"
            )
        return Result(changed=args.state == "put_back", values=values)


def _before(cluster: Cluster, ctx: ActionContext) -> Before:
    files: list[str] = []
    folders: list[str] = []
    if is_new(cluster, cluster.me.host):
        node = here(ctx.vars)
        for plan in node.plans:
            files += [file.path for file in node.runtime.files(plan)]
            files += node.runtime.written(plan)
        folders = [plan.folder for plan in reversed(node.plans)]
    return Before(files, folders, _services(cluster, ctx))


def _services(cluster: Cluster, ctx: ActionContext) -> list[Service]:
    me, found = cluster.me.host, []
    part = cluster.part("database")
    if me in cluster.groups.get("database", ()) and part.get("managed"):
        found.append(database(str(part["kind"])).service(ctx))
    if me in cluster.groups.get("redis", ()) and cluster.part("redis").get("managed"):
        found.append(redis.SERVICE)
    return found
