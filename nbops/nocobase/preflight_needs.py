"""What each host of a cluster must have, from the inventory's settings. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from nbops.base.command import Text
from nbops.base.secret import Secret, reveal
from nbops.nocobase.cluster import STATE_FOLDER, Cluster, Member
from nbops.nocobase.databases.here import in_use
from nbops.nocobase.environment import FURTHER, PER_NODE, Addresses, environment
from nbops.nocobase.keys import mark, salt_of
from nbops.nocobase.preflight_model import (
    DOCKER_ROOT,
    DatabaseNeed,
    Needs,
    Port,
    RedisNeed,
    Situation,
    Space,
    Target,
    look_of,
)
from nbops.nocobase.releases import newest

LOOK = "nocobase_look"
RELEASE = "nocobase_release"

_IMAGE_ROOM = 3072
_STATE_ROOM = 64
_STORAGE_ROOM = 512
_DATABASE_ROOM = 1024
_BACKUP_ROOM = 1024

_DOCKER = "`apt-get install docker.io docker-cli docker-compose`, or `runtime.bootstrap: true`"
_NODE = "Node.js 20 or newer is needed, with npm, or `runtime.bootstrap: true`"
_CURL = {"curl": "`apt-get install curl`"}
_SOCKETS = {"ss": "`apt-get install iproute2`"}
_FUNCTIONS = {
    "CACHE_REDIS_URL": "cache",
    "PUBSUB_ADAPTER_REDIS_URL": "pubsub",
    "LOCK_ADAPTER_REDIS_URL": "lock",
    "QUEUE_ADAPTER_REDIS_URL": "queue",
    "REDIS_URL": "worker_id",
}
_SERVERS: Mapping[str, tuple[tuple[str, ...], str, str, tuple[str, ...], str]] = {
    # kind: programs, package, folder of the data, processes, the tool for dumps
    "postgres": (
        ("psql", "pg_lsclusters"),
        "postgresql",
        "/var/lib/postgresql",
        ("postgres",),
        "pg_dump",
    ),
    "mariadb": (
        ("mariadbd", "mariadb"),
        "mariadb-server",
        "/var/lib/mysql",
        ("mariadbd",),
        "mariadb-dump",
    ),
    "mysql": (("mysqld", "mysql"), "mysql-server", "/var/lib/mysql", ("mysqld",), "mysqldump"),
}
_CLIENTS = {"postgres": "postgresql-client", "mariadb": "mariadb-client", "mysql": "mysql-client"}
_BALANCERS = {"nginx": "nginx", "haproxy": "haproxy"}


def situation_of(cluster: Cluster, variables: Mapping[str, Any]) -> Situation:
    """All that is known of the cluster: needs from the settings, looks from the facts."""
    hosts = roles_of(cluster)
    plugins = cluster.part("plugins")
    return Situation(
        cluster=cluster.name,
        version=cluster.app_version,
        image=f"{cluster.settings['image']}:{cluster.version}",
        needs={host: needs_of(cluster, cluster.members[host]) for host in hosts},
        looks={host: look_of(fact) for host in hosts if (fact := cluster.fact(host, LOOK))},
        release=newest(cluster.fact(host, RELEASE) for host in cluster.members),
        adopt=bool(variables.get("nbops_adopt")),
        run=str(variables.get("nbops_run", "")),
        package_service=bool(plugins.get("package_service")),
        local_plugins=tuple(str(one["name"]) for one in plugins.get("packages") or ()),
    )


def roles_of(cluster: Cluster) -> dict[str, tuple[str, ...]]:
    """The hosts of the cluster with what each of them is."""
    found: dict[str, tuple[str, ...]] = {}
    for role in ("app", "balancer", "database", "redis"):
        for host in cluster.groups.get(role, ()):
            found[host] = (*found.get(host, ()), role)
    return found


def needs_of(cluster: Cluster, member: Member) -> Needs:
    """What one host must have, whatever it is."""
    roles = roles_of(cluster).get(member.host, ())
    programs: dict[str, str] = dict(_SOCKETS)
    space = [Space("nbops", STATE_FOLDER, _STATE_ROOM)]
    ports: list[Port] = []
    parts: dict[str, Any] = {}
    if "app" in roles:
        parts |= _node(cluster, member, programs, space, ports)
    if "database" in roles and _managed(member, "database"):
        parts |= _database_host(cluster, member, programs, space, ports)
    if "redis" in roles and _managed(member, "redis"):
        number = int(member.part("redis").get("port") or 6379)
        programs |= dict.fromkeys(("redis-server", "redis-cli"), "`apt-get install redis-server`")
        ports.append(Port(number, "Redis", ("redis-server",)))
    if "balancer" in roles:
        parts["targets"] = (*parts.get("targets", ()), *_apps(cluster, member))
        _balancer_host(member, programs, ports)
    if member.host == backup_host(cluster):
        space.append(Space("backups", str(_backup_folder(member)), _BACKUP_ROOM))
        parts["backup_tool"] = _SERVERS[_kind(member)][4]
    return Needs(
        host=member.host,
        roles=roles,
        programs=programs,
        space=tuple(space),
        ports=tuple(ports),
        cluster=cluster.name,
        **parts,
    )


def backup_host(cluster: Cluster) -> str:
    """Where dumps are made: beside the database when nbops runs it, else on the first node."""
    databases = cluster.groups.get("database", ())
    if databases:
        return databases[0]
    return cluster.nodes[0].host if cluster.nodes else ""


def env_mark(salt: Text, name: str, value: str) -> str:
    """What the look script prints for a variable of this value: it tells values apart
    without telling them, to those who do not have the salt."""
    return mark(salt, f"{name}={value}")


def redis_needs(env: Mapping[str, Text], managed: Iterable[str]) -> tuple[RedisNeed, ...]:
    """The servers that the app's environment names, each once, with all that it does."""
    found: dict[tuple[Any, ...], tuple[list[str], list[int]]] = {}
    for variable, function in _FUNCTIONS.items():
        if variable not in env:
            continue
        url = urlsplit(reveal(env[variable]))
        number = int(url.path.strip("/") or 0)
        password = unquote(url.password) if url.password else ""
        key = (url.hostname or "", url.port or 6379, unquote(url.username or ""), password)
        functions, numbers = found.setdefault((*key, url.scheme == "rediss"), ([], []))
        functions.append(function)
        numbers.append(number)
    ours = set(managed)
    return tuple(
        RedisNeed(
            functions=tuple(functions),
            host=host,
            port=port,
            numbers=tuple(dict.fromkeys(numbers)),
            user=user,
            password=Secret(password) if password else None,
            tls=tls,
            managed=host in ours,
        )
        for (host, port, user, password, tls), (functions, numbers) in found.items()
    )


def _environment(cluster: Cluster, member: Member) -> dict[str, Text]:
    databases = cluster.group("database")
    addresses = Addresses(
        database=databases[0].address if databases else "",
        redis={one.host: one.address for one in cluster.group("redis")},
        database_name=in_use(cluster),
    )
    return environment(member.settings, addresses, FURTHER)


def _node(
    cluster: Cluster,
    member: Member,
    programs: dict[str, str],
    space: list[Space],
    ports: list[Port],
) -> dict[str, Any]:
    runtime, env = member.part("runtime"), _environment(cluster, member)
    kind = str(runtime.get("kind") or "compose")
    programs |= _CURL
    folder = str(runtime.get("dir") or "/opt/nocobase")
    if kind == "compose":
        programs["docker"] = _DOCKER
        space.append(Space(DOCKER_ROOT, "/var/lib/docker", _IMAGE_ROOM))
    else:
        programs |= dict.fromkeys(("node",) if runtime.get("package") else ("node", "npm"), _NODE)
        space.append(Space("the app", folder, _IMAGE_ROOM))
    storage = str(member.part("storage").get("path") or "")
    if storage:
        space.append(Space("storage", storage, _STORAGE_ROOM))
    count = int(runtime.get("instances") or 1)
    first = member.port
    ours = () if kind == "compose" else ("node",)
    ports += [
        Port(number, "the app", ours, kind == "compose") for number in range(first, first + count)
    ]
    mode = runtime.get("cluster_mode") or 1
    shared = member.part("storage").get("kind") == "shared"
    return {
        "processes": -1 if mode == "max" else int(mode) * count,
        "runtime": kind,
        "bootstrap": bool(runtime.get("bootstrap")),
        "image": f"{member.settings['image']}:{member.settings['version']}",
        "registry_auth": _registry_auth(runtime.get("registry")),
        "app_port": first,
        "folder": folder,
        "storage": storage if shared else "",
        "plugins": _packages(env),
        "targets": _node_targets(cluster, member, env),
        "database": _database(member, env, local=False),
        "redis": redis_needs(env, _addresses(cluster, "redis")),
        "salt": salt_of(env["APP_KEY"]),
        "environment": {name: reveal(value) for name, value in env.items() if name not in PER_NODE},
    }


def _database_host(
    cluster: Cluster,
    member: Member,
    programs: dict[str, str],
    space: list[Space],
    ports: list[Port],
) -> dict[str, Any]:
    kind = _kind(member)
    names, package, folder, processes, _ = _SERVERS[kind]
    programs |= dict.fromkeys(names, f"`apt-get install {package}`")
    ports.append(Port(int(member.part("database")["port"]), "the database", processes))
    space.append(Space("the database", folder, _DATABASE_ROOM))
    return {"database": _database(member, _environment(cluster, member), local=True)}


def _balancer_host(member: Member, programs: dict[str, str], ports: list[Port]) -> None:
    part = member.part("balancer")
    kind = str(part.get("kind") or "nginx")
    if kind not in _BALANCERS:
        return
    programs |= {kind: f"`apt-get install {_BALANCERS[kind]}`"} | _CURL
    port = int(part.get("port") or (443 if part.get("tls") else 80))
    ports.append(Port(port, "the balancer", (kind,)))


def _node_targets(cluster: Cluster, member: Member, env: Mapping[str, Text]) -> list[Target]:
    database = Target(
        "the database",
        reveal(env["DB_HOST"]),
        int(reveal(env["DB_PORT"])),
        _managed(member, "database"),
    )
    return [database, *_apps(cluster, member)]


def _apps(cluster: Cluster, member: Member) -> list[Target]:
    """The other nodes' apps: who balances, and who starts, must reach them."""
    return [
        Target(node.host, node.address, node.port, managed=True)
        for node in cluster.nodes
        if node.host != member.host
    ]


def _database(member: Member, env: Mapping[str, Text], *, local: bool) -> DatabaseNeed:
    return DatabaseNeed(
        kind=_kind(member),
        host=reveal(env["DB_HOST"]),
        port=int(reveal(env["DB_PORT"])),
        name=reveal(env["DB_DATABASE"]),
        user=reveal(env["DB_USER"]),
        password=Secret(reveal(env["DB_PASSWORD"])),
        managed=_managed(member, "database"),
        local=local,
    )


def _packages(env: Mapping[str, Text]) -> tuple[str, ...]:
    """The packages of the plugins that the app is told to enable."""
    names = reveal(env.get("APPEND_PRESET_BUILT_IN_PLUGINS", "")).split(",")
    return tuple(
        name if name.startswith("@") else f"@nocobase/plugin-{name}" for name in names if name
    )


def _registry_auth(registry: Mapping[str, Any] | None) -> Secret | None:
    if not registry:
        return None
    text = json.dumps(
        {"username": str(registry["username"]), "password": reveal(registry["password"])}
    )
    return Secret(base64.urlsafe_b64encode(text.encode()).decode())


def _managed(member: Member, part: str) -> bool:
    return bool(member.part(part).get("managed"))


def _kind(member: Member) -> str:
    return str(member.part("database").get("kind") or "postgres")


def _addresses(cluster: Cluster, role: str) -> list[str]:
    return [one.address for one in cluster.group(role) if _managed(one, role)]


def _backup_folder(member: Member) -> str:
    return str(member.part("backup").get("dir") or "/var/backups/nocobase")
