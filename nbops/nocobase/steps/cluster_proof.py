"""`nocobase_prove_cluster`: that the nodes are one cluster, by what they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from nbops.nocobase import proof
from nbops.nocobase.account import call, read_token, reason, sign_in
from nbops.nocobase.cluster import Cluster, Endpoint, Member, cluster_of
from nbops.nocobase.plans import aimed_at, expected_plugins
from nbops.nocobase.steps.start import is_started
from nbops.runbook.spec import ActionSpec, NoArgs

_NO_ACCOUNT = (
    "that the nodes synchronise, and the database's version, was not proven, because no account"
    " is declared: set verify.account in the inventory"
)
_NO_PLUGINS = (
    "the nodes do not synchronise with each other: no cluster plugins are configured"
    " (plugins.append is empty)"
)
_NO_RIGHT = "not proven: {}; the account of verify.account may not ask for it"
_HINT = (
    "the cluster plugins are commercial: set plugins.package_service, put the packages on every"
    " node (plugins.local), or use an image that has them"
)
_DEAF = (
    "their plugins are there, so look whether every node reaches the Redis of redis.pubsub, and"
    " for `PubSub` in their logs"
)
_LOCAL_FILES = (
    "the app still keeps its files in local storage, so that one uploaded through one node is"
    " missing on the others: in the app, under Settings > File manager, make the object"
    " storage the default, and upload the logo anew"
)
OK = 200
_MAY_NOT = (401, 403)
_DEADLINE = 4 * proof.PATIENCE


class ProveCluster:
    """Asks the app on the play's hosts as a signed-in user does, and makes a change that is
    undone at once."""

    spec = ActionSpec(
        name="nocobase_prove_cluster",
        args=NoArgs,
        summary="Prove that the play's nodes are one cluster: database and plugins of the right"
        " version, cluster plugins loaded on each, a change through one node seen by the others.",
        example="- nocobase_prove_cluster:\n  run_once: true\n",
        check="skipped",
        returns={
            "nodes": "The apps that were asked.",
            "synchronised": "Whether each learnt of a change made through another.",
        },
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Fails where something that the inventory promises is not so; warns where it
        promises too little, or nothing could be proven."""
        if ctx.check:
            return Result(skipped=True)
        cluster = aimed_at(cluster_of(ctx.vars))
        apps = [
            app for app in cluster.endpoints if app.host in ctx.hosts and is_started(cluster, app)
        ]
        account: Mapping[str, Any] = cluster.part("verify").get("account") or {}
        if not apps or not account:
            return Result(skipped=True, warnings=(_NO_ACCOUNT,) if apps else ())
        said = sign_in(ctx, apps[0].there, account)
        token = read_token(said)
        if not token:
            raise ActionFailed(f"sign-in at {apps[0].there} failed: {reason(said)}")
        warnings = [
            *_database_version(ctx, cluster, apps[0], token),
            *_plugins(ctx, cluster, apps, token),
            *_files(ctx, cluster, apps[0], token),
        ]
        synchronised, why_not = _synchronise(ctx, cluster, apps, token)
        return Result(
            values={"nodes": [app.name for app in apps], "synchronised": synchronised},
            warnings=(*warnings, *why_not),
        )


def _database_version(ctx: ActionContext, cluster: Cluster, app: Endpoint, token: str) -> list[str]:
    answer = call(ctx, app.there + proof.VERSION_PATH, token=token)
    if answer.status in _MAY_NOT:
        return [_NO_RIGHT.format("the version of the database")]
    version = proof.recorded_version(answer)
    if version != cluster.app_version:
        what = f"is of version {version}" if version else f"tells no version ({reason(answer)})"
        raise ActionFailed(
            f"the database {what}, not {cluster.app_version}: its upgrade did not come to an end",
            hint=f"look at the log of {app.name} for what its start says of migrations",
        )
    return []


def _plugins(
    ctx: ActionContext, cluster: Cluster, apps: Sequence[Endpoint], token: str
) -> list[str]:
    """Raises ActionFailed when a node lacks a plugin that it is to have."""
    recorded = call(ctx, apps[0].there + proof.RECORDED_PLUGINS_PATH, token=token)
    missing: dict[str, list[str]] = {}
    stale: dict[str, list[str]] = {}
    for app in apps:
        listed = call(ctx, app.there + proof.PLUGINS_PATH, token=token)
        if listed.status in _MAY_NOT:
            return [_NO_RIGHT.format("which plugins are loaded")]
        expected = expected_plugins(cluster, cluster.members[app.host])
        for found, plugins in (
            (missing, proof.missing_plugins(listed, expected)),
            (stale, proof.stale_plugins(listed, recorded)),
        ):
            if plugins:
                found[app.name] = plugins
    if missing:
        raise ActionFailed(f"healthy, but no cluster: not loaded on {_told(missing)}", hint=_HINT)
    return [f"plugins of another version than the database's on {_told(stale)}"] if stale else []


def _files(ctx: ActionContext, cluster: Cluster, app: Endpoint, token: str) -> list[str]:
    if cluster.part("storage").get("kind") != "object":
        return []
    listed = call(ctx, app.there + proof.STORAGES_PATH, token=token)
    return [_LOCAL_FILES] if proof.default_storage(listed) == "local" else []


def _synchronise(
    ctx: ActionContext, cluster: Cluster, apps: Sequence[Endpoint], token: str
) -> tuple[bool, list[str]]:
    """Whether each learnt of a change; if not, and none was to be expected, why."""
    several = {node.host for node in cluster.nodes if _several(node)}
    if len(apps) < 2 and not several & {app.host for app in apps}:
        return False, []
    if not expected_plugins(cluster, cluster.members[apps[0].host]):
        return False, [_NO_PLUGINS]
    ctx.progress("making a change through one node, looking for it on the others")
    script = proof.round_trip_script(apps, str(ctx.vars["nbops_run"]), several)
    outcome = ctx.act(script, env={"NBOPS_TOKEN": Secret(token)}, deadline=_DEADLINE)
    trip = proof.read_round_trip(outcome.out)
    if trip.made in _MAY_NOT:
        return False, [_NO_RIGHT.format("whether the nodes synchronise")]
    if trip.made != OK:
        raise ActionFailed(
            f"{apps[0].name} does not take a change: HTTP {trip.made or 'no answer'}"
            f" {outcome.err.strip()}".rstrip()
        )
    if why := proof.deaf(trip, apps):
        raise ActionFailed(f"the nodes do not synchronise: {why}", hint=_DEAF)
    return True, []


def _several(node: Member) -> bool:
    return str(node.part("runtime").get("cluster_mode") or "1") != "1"


def _told(found: Mapping[str, Sequence[str]]) -> str:
    """`node1, node2 (a, b); node3 (a)`."""
    hosts: dict[str, list[str]] = {}
    for host, names in found.items():
        hosts.setdefault(", ".join(names), []).append(host)
    return "; ".join(f"{', '.join(each)} ({names})" for names, each in hosts.items())
