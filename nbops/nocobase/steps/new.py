"""`nocobase_new`: nodes that no release has, and the way back to where they were not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.databases.here import in_use
from nbops.nocobase.databases.kinds import database
from nbops.nocobase.plans import here
from nbops.nocobase.preflight_keys import by_hand
from nbops.nocobase.preflight_needs import situation_of
from nbops.nocobase.releases import newest
from nbops.nocobase.steps.database import database_plan
from nbops.nocobase.steps.redis import ClearArgs, RedisClear, empty
from nbops.nocobase.steps.start import node_state
from nbops.nocobase.steps.stop import apps_of
from nbops.nocobase.storage import storage_path
from nbops.runbook.spec import ActionSpec, Args

BEFORE = "nocobase_before"
_GRACE = 60
_RUNS = {"running", "restarting", "paused"}
_OF_NODES = {"removed", "emptied", "adopted"}


class NewArgs(Args):
    """The arguments of `nocobase_new`."""

    state: Literal["look", "removed", "emptied", "cleared", "dropped", "adopted"] = Field(
        description="`look` at what is there before. Then back to that: the apps of a new node"
        " `removed`; its storage `emptied`, by the first of them where it is shared; Redis"
        " `cleared`; the database `dropped`; what was built by hand, and gave way to an adoption,"
        " started again (`adopted`)."
    )


class NewNodes:
    """Looks at what is there before new nodes come, and takes away what was not."""

    spec = ActionSpec(
        name="nocobase_new",
        args=NewArgs,
        summary="Look at what is there before nodes start that no release has, and go back to that"
        " when the deploy fails before visitors get to them.",
        example="- nocobase_new: look\n  rollback:\n    - nocobase_new: removed\n",
        free_form="state",
        returns={
            "apps": "Names of the cluster's apps that run on the node.",
            "storage": "Whether anything is in the node's storage.",
            "owner": "Whose the folder of the storage is, as UID:GID; empty when it is not there.",
            "by_hand": "Containers that run and were not started by nbops, with their policies.",
            "database": "What is there of what `database_create` makes.",
            "redis": "The functions whose database of Redis is empty.",
        },
    )

    def run(self, args: NewArgs, ctx: ActionContext) -> Result:
        """Nothing is taken away on a host at which nobody looked before: there, nothing of this
        run was begun after it. Data are taken away only where this run makes the database.

        Where an earlier run has started nodes and recorded nothing, users may be in already:
        nothing is undone then."""
        cluster = cluster_of(ctx.vars)
        me = cluster.me.host
        if args.state == "look":
            found = _look(cluster, ctx)
            if found["apps"] and not _release(cluster) and not ctx.check:
                ctx.seal()
            return Result(values=found, facts={BEFORE: found})
        before = cluster.fact(me, BEFORE)
        if before is None or (args.state in _OF_NODES and not is_new(cluster, me)):
            return Result(skipped=True, msg="nothing was begun here")
        return _go_back(args.state, cluster, before, ctx)


def _go_back(state: str, cluster: Cluster, before: Mapping[str, Any], ctx: ActionContext) -> Result:
    match state:
        case "removed":
            return _remove(cluster, before["apps"], ctx)
        case "emptied":
            return _empty(cluster, before, ctx)
        case "cleared":
            return _clear(cluster, before["redis"], ctx)
        case "dropped":
            return _drop(cluster, before, ctx)
    return _give_back(before["by_hand"], ctx)


def is_new(cluster: Cluster, host: str) -> bool:
    """Whether a host is a node that no release has, as `nocobase_change: judge` found."""
    change: Mapping[str, Any] = cluster.fact(host, "nocobase_change") or {}
    return host in change.get("new", ())


def data_stays(cluster: Cluster) -> bool:
    """Whether what the app wrote by now is not taken away: there is no release, so that it may
    have written to a database that was there before, or that nbops does not run."""
    return not _release(cluster) and not makes_database(cluster)


def makes_database(cluster: Cluster) -> bool:
    """Whether this run makes the database, so that its way back removes it: somebody looked for
    it, and it was not there."""
    looks = [cluster.fact(host, BEFORE) for host in cluster.groups.get("database", ())]
    managed = bool(cluster.part("database").get("managed"))
    seen = bool(looks) and all(looks)
    return managed and seen and not any("database" in look["database"] for look in looks)


def _release(cluster: Cluster) -> Mapping[str, Any] | None:
    return newest(cluster.fact(host, "nocobase_release") for host in cluster.members)


def _look(cluster: Cluster, ctx: ActionContext) -> dict[str, Any]:
    me = cluster.me.host
    found: dict[str, Any] = {
        "apps": [],
        "storage": True,
        "owner": "",
        "by_hand": {},
        "database": [],
        "redis": [],
    }
    if is_new(cluster, me):
        found["apps"] = _running(ctx)
        found["owner"], found["storage"] = _storage(storage_path(cluster.me), ctx)
        found["by_hand"] = _by_hand(cluster, ctx)
    if me in cluster.groups.get("nocobase_first", ()):
        found["redis"] = empty(cluster, ctx)
    part = cluster.part("database")
    if me in cluster.groups.get("database", ()) and part.get("managed"):
        found["database"] = list(database(str(part["kind"])).held(database_plan(cluster), ctx))
    return found


def _running(ctx: ActionContext) -> list[str]:
    """The apps of the cluster on this host that run, or would by themselves: what a node that
    left has left behind, stopped, may go."""
    node = here(ctx.vars)
    states = {plan.name: node_state(node, ctx, plan) for plan in node.plans}
    at_rest = {name for name, one in states.items() if not (one.running or one.comes_back)}
    return [name for _, name in apps_of(node, ctx) if name not in at_rest]


def _remove(cluster: Cluster, before: Sequence[str], ctx: ActionContext) -> Result:
    made = [(kind, name) for kind, name in apps_of(here(ctx.vars), ctx) if name not in before]
    for kind, name in () if ctx.check else made:
        _act(ctx, kind.remove_script(name, _GRACE), f"{name} cannot be removed")
    told: tuple[str, ...] = ()
    if data_stays(cluster) and _is_first(cluster):
        told = (f"the database {in_use(cluster)} keeps what the app wrote there",)
    values = {"apps": [name for _, name in made]}
    return Result(changed=bool(made), values=values, warnings=told)


def _is_first(cluster: Cluster) -> bool:
    change: Mapping[str, Any] = cluster.fact(cluster.me.host, "nocobase_change")
    return bool(change["new"][0] == cluster.me.host)


def _empty(cluster: Cluster, before: Mapping[str, Any], ctx: ActionContext) -> Result:
    """On shared storage one host does it for all, when no app writes there any more. Where the
    database stays, so do the files that it knows."""
    shared = cluster.part("storage").get("kind") == "shared"
    others = shared and not _is_first(cluster)
    if before["storage"] or others or _release(cluster) or not makes_database(cluster):
        return Result()
    folder, owner = storage_path(cluster.me), before["owner"]
    path = quote(folder)
    script = f"[ ! -d {path} ] || rm -rf {path}\n"
    if owner:
        script = f"find -H {path} -mindepth 1 -delete && chown {owner} {path}\n"
    changed = _storage(folder, ctx) != (owner, False)
    if changed and not ctx.check:
        _act(ctx, script, f"{folder} cannot be emptied")
    return Result(changed=changed)


def _storage(folder: str, ctx: ActionContext) -> tuple[str, bool]:
    """Whose a folder is, as UID:GID (empty: it is not there), and whether anything is in it."""
    path = quote(folder)
    outcome = ctx.probe(f"[ ! -e {path} ] || {{ stat -L -c %u:%g {path} && ls -A {path}/; }}\n")
    if not outcome.ok:
        raise ActionFailed(f"cannot look at {folder} on {ctx.host}: {outcome.err.strip()}")
    owner, _, names = outcome.out.partition("\n")
    return owner, bool(names)


def _clear(cluster: Cluster, functions: Sequence[Any], ctx: ActionContext) -> Result:
    if not functions or not makes_database(cluster):
        return Result()
    return RedisClear().run(ClearArgs(functions=tuple(functions)), ctx)


def _drop(cluster: Cluster, before: Mapping[str, Any], ctx: ActionContext) -> Result:
    kind = database(str(cluster.part("database")["kind"]))
    return kind.remove(database_plan(cluster), before["database"], ctx)


def _by_hand(cluster: Cluster, ctx: ActionContext) -> dict[str, str]:
    """The containers that an adoption stops, with the policies by which they come back."""
    if not ctx.vars.get("nbops_adopt"):
        return {}
    apps = [app for app in by_hand(situation_of(cluster, ctx.vars)) if app.state in _RUNS]
    apps = [app for app in apps if app.host == cluster.me.host]
    names = [app.shown for app in apps if not app.name.startswith("port-")]
    if not names:
        return {}
    form = quote("{{.HostConfig.RestartPolicy.Name}}")
    outcome = ctx.probe(f"docker inspect --format {form} {' '.join(map(quote, names))}\n")
    if not outcome.ok:
        raise ActionFailed(f"Docker does not answer on {ctx.host}: {outcome.err.strip()}")
    # One that was not made by Docker's own client may have none.
    policies = [policy or "no" for policy in outcome.out.splitlines()]
    return dict(zip(names, policies, strict=True))


def _give_back(containers: Mapping[str, str], ctx: ActionContext) -> Result:
    lines = [
        f"docker update --restart {quote(policy)} {quote(name)} >/dev/null"
        f" && docker start {quote(name)} || exit 1"
        for name, policy in containers.items()
    ]
    if lines and not ctx.check:
        _act(ctx, "\n".join(lines) + "\n", "what was built by hand cannot be started")
    return Result(changed=bool(lines), values={"started": list(containers)})


def _act(ctx: ActionContext, script: str, fault: str) -> None:
    outcome = ctx.act(script, deadline=_GRACE + 240)
    if not outcome.ok:
        raise ActionFailed(f"{fault} on {ctx.host}: {outcome.err.strip()}")
