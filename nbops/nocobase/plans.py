"""From the inventory's settings, or from an earlier release, to what is wanted on a node. Pure.

What actions are to bring about is what the inventory says, unless the variable
`nocobase_aim` names a release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from nbops.base.command import Text
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret, reveal
from nbops.nocobase.cluster import Cluster, Endpoint, Member, cluster_of
from nbops.nocobase.databases.here import in_use
from nbops.nocobase.environment import (
    FIRST,
    FURTHER,
    Addresses,
    environment,
    fingerprint,
    read_env_file,
    render_env_file,
)
from nbops.nocobase.environment import Start as Stage
from nbops.nocobase.releases import Release, read_release
from nbops.nocobase.runtimes.api import NodePlan, Runtime
from nbops.nocobase.runtimes.kinds import runtime

APP_PACKAGE = "create-nocobase-app"
RECORDS = "nocobase_records"
_SECRETS = ("environment", "first_environment", "app_key")


@dataclass(frozen=True)
class Here:
    """The node that an action acts on: its cluster, its runtime, what is wanted of it."""

    cluster: Cluster
    runtime: Runtime
    plans: tuple[NodePlan, ...]
    shared_storage: bool
    release: Mapping[str, Any] | None = field(repr=False)

    @property
    def plan(self) -> NodePlan:
        """What is wanted of the node's first app: image, folder and storage are those of all."""
        return self.plans[0]

    def apps(self) -> tuple[tuple[Endpoint, NodePlan], ...]:
        """Every app of the node: where it is reached, and what is wanted of it."""
        return tuple(zip(self.cluster.me.endpoints, self.plans, strict=True))

    @property
    def recorded_digest(self) -> str:
        """The digest that the present release has for this image; empty when it has none."""
        images: Mapping[str, str] = (self.release or {}).get("images") or {}
        return images.get(self.plan.image, "")


def here(variables: Mapping[str, Any]) -> Here:
    """The node whose variables these are.

    Raises UsageError when they are no cluster's, RefusedError for a runtime that is not built,
    ActionFailed when the release that is aimed at did not have this node.
    """
    cluster = aimed_at(cluster_of(variables))
    me = cluster.me
    release = cluster.fact(me.host, "nocobase_release")
    plans, kind = node_plans(cluster, me), str(me.part("runtime").get("kind") or "compose")
    if cluster.aim is not None:
        record = recorded(cluster, cluster.aim)
        release = record.facts()
        kind, plans = plans_in(record, me.host, in_use(cluster))
    return Here(
        cluster=cluster,
        runtime=runtime(kind),
        plans=plans,
        shared_storage=me.part("storage").get("kind") == "shared",
        release=release,
    )


def aimed_at(cluster: Cluster) -> Cluster:
    """The cluster as the release has it that is aimed at: where its nodes answer, and what they
    are for. Nodes that it did not have are as in the inventory; so are all without an aim.

    Raises ActionFailed when no host has the record.
    """
    if cluster.aim is None:
        return cluster
    nodes = recorded(cluster, cluster.aim).nodes
    members = {
        host: _as_recorded(member, nodes[host]) if nodes.get(host) else member
        for host, member in cluster.members.items()
    }
    return replace(cluster, me=members[cluster.me.host], members=members)


def absent_from(cluster: Cluster) -> frozenset[str]:
    """The hosts of the group `app` on which the release that is aimed at has no node; none
    without an aim."""
    if cluster.aim is None:
        return frozenset()
    nodes = recorded(cluster, cluster.aim).nodes
    return frozenset(node.host for node in cluster.nodes if node.host not in nodes)


def _as_recorded(member: Member, plans: Sequence[Mapping[str, Any]]) -> Member:
    env = read_env_file(str(plans[0]["environment"]))
    runtime = {
        **member.part("runtime"),
        "port": int(plans[0]["port"]),
        "instances": len(plans),
        "worker_mode": env.get("WORKER_MODE"),
        "cluster_mode": env.get("CLUSTER_MODE"),
    }
    return replace(member, settings={**member.settings, "runtime": runtime})


def recorded(cluster: Cluster, name: object) -> Release:
    """A release of which `nocobase_release: open` told, by its number or as `pending`.

    Raises ActionFailed when no host has it.
    """
    key = f"{int(str(name)):06d}" if str(name).isdigit() else str(name)
    for host in (cluster.me.host, *cluster.members):
        text = (cluster.fact(host, RECORDS) or {}).get(key)
        if text is not None:
            return read_release(reveal(text))
    raise ActionFailed(
        f"the record of release {name} is on no host", hint="`nocobase_release: open` comes first"
    )


def wanted_release(cluster: Cluster) -> Release:
    """What the inventory wants, as a release without a number."""
    images = [cluster.fact(node.host, "nocobase_image") or {} for node in cluster.nodes]
    return Release(
        number=0,
        parent=None,
        version=cluster.version,
        images={str(one["reference"]): str(one["digest"]) for one in images if one},
        fingerprint=environment_fingerprint(cluster),
        who="",
        when="",
        run="",
        plugins=expected_plugins(cluster, cluster.nodes[0]),
        database=in_use(cluster),
        nodes={node.host: _record_of(cluster, node) for node in cluster.nodes},
        files={node.host: node_files(cluster, node) for node in cluster.nodes},
    )


def _record_of(cluster: Cluster, node: Member) -> list[dict[str, Any]]:
    kind = str(node.part("runtime").get("kind") or "compose")
    return [_as_record(kind, plan) for plan in node_plans(cluster, node)]


def _as_record(kind: str, plan: NodePlan) -> dict[str, Any]:
    return {"kind": kind} | {name: _plain(value) for name, value in asdict(plan).items()}


def _plain(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def plans_in(record: Release, host: str, database: str) -> tuple[str, tuple[NodePlan, ...]]:
    """The kind of runtime and the plans of a node in a release, for the database that is in
    use now. Raises ActionFailed when the release did not have this node."""
    there = record.nodes.get(host)
    if not there:
        raise ActionFailed(
            f"{host} was no node of release {record.number}",
            hint=f"leave it stopped, or take it out of the inventory for release {record.number}",
        )
    kind, plans = "", []
    for one in there:
        fields = dict(one)
        kind = str(fields.pop("kind"))
        for name in _SECRETS:
            text = str(fields[name])
            if record.database and database != record.database:
                text = text.replace(
                    f"\nDB_DATABASE={record.database}\n", f"\nDB_DATABASE={database}\n"
                )
            fields[name] = Secret(text)
        plans.append(NodePlan(**fields))
    return kind, tuple(plans)


def in_database(record: Release, database: str) -> Release:
    """The release as it is with another database in the place of its own, where servers cannot
    rename one: what its nodes are started with names it."""
    if not record.database or record.database == database:
        return replace(record, database=database)
    nodes: dict[str, list[dict[str, Any]]] = {}
    files: dict[str, dict[str, str]] = {}
    for host in record.nodes:
        kind, plans = plans_in(record, host, database)
        nodes[host] = [_as_record(kind, plan) for plan in plans]
        made = [file for plan in plans for file in runtime(kind).files(plan)]
        files[host] = {file.path: reveal(file.content) for file in made}
    return replace(record, database=database, nodes=nodes, files=files)


def runtime_of(node: Member) -> Runtime:
    """The kind of runtime that a node has. Raises RefusedError when it is not built."""
    return runtime(str(node.part("runtime").get("kind") or "compose"))


def node_plans(cluster: Cluster, node: Member) -> tuple[NodePlan, ...]:
    """What is wanted on a node of the cluster, one plan for each of its apps."""
    return tuple(_plan(cluster, node, app) for app in node.endpoints)


def _plan(cluster: Cluster, node: Member, app: Endpoint) -> NodePlan:
    settings = node.part("runtime")
    home = str(settings.get("dir") or "/opt/nocobase")
    normal = node_environment(cluster, node, FURTHER, app.port)
    first = node_environment(cluster, node, FIRST, app.port)
    several = str(settings.get("cluster_mode") or "1") != "1"
    return NodePlan(
        cluster=cluster.name,
        host=node.host,
        home=home,
        folder=home if app.instance == 1 else f"{home}/{app.instance}",
        storage=str(node.part("storage").get("path") or f"{home}/storage"),
        port=app.port,
        environment=render_env_file(normal),
        first_environment=render_env_file(first),
        app_key=normal["APP_KEY"],
        several=several,
        instance=app.instance,
        **_source(node, settings),
    )


def _source(node: Member, runtime: Mapping[str, Any]) -> dict[str, str]:
    """What runs, and where it comes from."""
    version = str(node.settings["version"])
    if runtime.get("kind") != "pm2":
        return {"image": f"{node.settings['image']}:{version}"}
    version = version.removesuffix("-full")
    package: Mapping[str, Any] = runtime.get("package") or {}
    return {
        "image": f"{APP_PACKAGE}@{version}",
        "user": str(runtime.get("user") or "nocobase"),
        "package": str(package.get("source") or "").replace("{version}", version),
        "sha256": str((package.get("sha256") or {}).get(version) or ""),
    }


def node_environment(
    cluster: Cluster, node: Member, stage: Stage, port: int | None = None
) -> dict[str, Text]:
    """The variables of a node's app for one way of starting it; `port` is that of one of
    several apps on the node."""
    databases = cluster.group("database")
    settings = dict(node.settings)
    settings["database"] = {**node.part("database"), "name": in_use(cluster)}
    addresses = Addresses(
        database=databases[0].address if databases else "",
        redis={member.host: member.address for member in cluster.group("redis")},
    )
    return environment(settings, addresses, stage, port)


def expected_plugins(cluster: Cluster, node: Member) -> tuple[str, ...]:
    """The plugins that a node is to have beyond those of the app itself."""
    names = node_environment(cluster, node, FURTHER).get("APPEND_PRESET_BUILT_IN_PLUGINS", "")
    return tuple(name for name in reveal(names).split(",") if name)


def environment_fingerprint(cluster: Cluster) -> str:
    """Tells the cluster's environment apart from others; the same for all nodes. The database
    in use is left out: a release names it by itself, and a restore may change it."""
    env = node_environment(cluster, cluster.nodes[0], FURTHER)
    return fingerprint({name: env[name] for name in env if name != "DB_DATABASE"})


def node_files(cluster: Cluster, node: Member) -> dict[str, str]:
    """Every file of a node's configuration, by its path, with what is secret in it."""
    files = runtime_of(node).files
    plans = node_plans(cluster, node)
    return {file.path: reveal(file.content) for plan in plans for file in files(plan)}
