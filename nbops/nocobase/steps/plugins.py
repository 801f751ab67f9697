"""`nocobase_plugins`: the plugin packages of the operator's computer, on every node."""

from __future__ import annotations

from pathlib import Path

from nbops.actions.api import ActionContext, Result
from nbops.base.command import LONG_DEADLINE, Effect
from nbops.base.errors import ActionFailed
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.health import HEALTH_PATH, Health, read_health
from nbops.nocobase.http import ask_script, read_answers
from nbops.nocobase.plugins import (
    Change,
    Package,
    change,
    look_script,
    packages_of,
    put_script,
    read_look,
    record_text,
)
from nbops.runbook.spec import ActionSpec, NoArgs


class PutPlugins:
    """Puts the packages where the app looks for plugins; removes what it had put before."""

    spec = ActionSpec(
        name="nocobase_plugins",
        args=NoArgs,
        summary="Put the packages of `plugins.local` on the nodes; only while no node runs.",
        example="- nocobase_plugins:\n",
        effect=Effect.FILE,
        returns={"put": "Names of the plugins that were put.", "removed": "Those removed."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """On shared storage the first host does it for all. Plugins that nbops did not put
        stay as they are."""
        cluster = cluster_of(ctx.vars)
        storage = _storage(cluster)
        shared = cluster.part("storage").get("kind") == "shared"
        if shared and ctx.hosts and ctx.hosts[0] != ctx.host:
            return Result(msg=f"on the shared storage, by {ctx.hosts[0]}", values=_values(_NONE))
        wanted = packages_of(cluster.settings)
        work = self._look(storage, wanted, ctx)
        if work and not ctx.check:
            _nothing_runs(cluster, work, ctx)
            self._put(storage, work, wanted, ctx)
        return Result(changed=bool(work), msg=work.words, values=_values(work))

    def _look(self, storage: str, wanted: tuple[Package, ...], ctx: ActionContext) -> Change:
        outcome = ctx.probe(look_script(storage))
        if not outcome.ok:
            raise ActionFailed(f"cannot look at the plugins on {ctx.host}: {outcome.err.strip()}")
        try:
            there, recorded = read_look(outcome.out)
        except (ValueError, KeyError, TypeError) as error:
            raise ActionFailed(
                f"the record of plugins in {storage} on {ctx.host} cannot be read: {error}",
                hint="move .nbops-plugins.json away; nbops then takes no plugin there for its own",
            ) from error
        return change(wanted, recorded, there)

    def _put(
        self, storage: str, work: Change, wanted: tuple[Package, ...], ctx: ActionContext
    ) -> None:
        staged = {one.name: ctx.stage(Path(one.file)) for one in work.put}
        record = ctx.stage(record_text(wanted).encode())
        outcome = ctx.act(put_script(storage, staged, work, record), deadline=LONG_DEADLINE)
        if not outcome.ok:
            raise ActionFailed(f"cannot put the plugins on {ctx.host}: {outcome.err.strip()}")


_NONE = Change((), ())


def _values(work: Change) -> dict[str, list[str]]:
    return {"put": [one.name for one in work.put], "removed": list(work.remove)}


def _storage(cluster: Cluster) -> str:
    folder = str(cluster.part("runtime").get("dir") or "/opt/nocobase")
    return str(cluster.part("storage").get("path") or f"{folder}/storage")


def _nothing_runs(cluster: Cluster, work: Change, ctx: ActionContext) -> None:
    """Plugins change as versions do: with all nodes stopped, and one node first. A node that
    runs would serve files of another package than it has loaded."""
    apps = cluster.apps
    urls = [f"{app.here if app.host == ctx.host else app.there}{HEALTH_PATH}" for app in apps]
    answers = read_answers(ctx.probe(ask_script(urls)).out, len(urls))
    up = [
        app.name
        for app, answer in zip(apps, answers, strict=True)
        if read_health(answer.status, answer.body).state is not Health.SILENT
    ]
    if up:
        raise ActionFailed(
            f"the plugins are not changed ({work.words}) while the app runs ({', '.join(up)})",
            hint="all nodes are stopped first (`nocobase_stop` on `app`), then one starts alone",
        )
