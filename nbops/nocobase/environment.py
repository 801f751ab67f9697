"""The environment of every node: one set of variables from the settings. Pure.

The rows are those of NocoBase's page on cluster mode, and their successors of 2.x. All nodes
have the same environment, but for what belongs to one node or to one start (`PER_NODE`).
Settings are the effective `nocobase` variable of a host: defaults filled in, secrets as
`Secret`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote as percent
from urllib.parse import urlsplit, urlunsplit

from nbops.base.command import Text
from nbops.base.errors import UsageError
from nbops.base.secret import Secret, reveal

REDIS_DATABASES = {"cache": 0, "pubsub": 1, "lock": 2, "queue": 3, "worker_id": 4}
ADAPTER_PLUGINS = ("lock-adapter-redis", "pubsub-adapter-redis")
ADAPTER_PLUGINS_2 = ("queue-adapter-redis", "workerid-allocator-redis")
PER_NODE = frozenset(
    {
        "APP_PORT",
        "CLUSTER_MODE",
        "INIT_ROOT_EMAIL",
        "INIT_ROOT_PASSWORD",
        "PM2_HOME",
        "SKIP_SAME_VERSION_UPGRADE",
        "SOCKET_PATH",
        "WORKER_MODE",
    }
)
RESERVED = {
    "APP_ENV": "",
    "APP_KEY": "secrets.app_key",
    "APP_AES_SECRET_KEY": "secrets.aes_key",
    "APP_PORT": "runtime.port",
    "DB_DIALECT": "database.kind",
    "DB_HOST": "database.host",
    "DB_PORT": "database.port",
    "DB_DATABASE": "database.name",
    "DB_USER": "database.user",
    "DB_PASSWORD": "database.password",
    "CACHE_DEFAULT_STORE": "redis",
    "CACHE_REDIS_URL": "redis.cache",
    "PUBSUB_ADAPTER_REDIS_URL": "redis.pubsub",
    "LOCK_ADAPTER_DEFAULT": "redis",
    "LOCK_ADAPTER_REDIS_URL": "redis.lock",
    "QUEUE_ADAPTER": "redis",
    "QUEUE_ADAPTER_REDIS_URL": "redis.queue",
    "REDIS_URL": "redis.worker_id",
    "APPEND_PRESET_BUILT_IN_PLUGINS": "plugins.append",
    "NOCOBASE_PKG_URL": "plugins.package_service.url",
    "NOCOBASE_PKG_USERNAME": "plugins.package_service.username",
    "NOCOBASE_PKG_PASSWORD": "plugins.package_service.password",
    "NBOPS_LOCAL_PLUGINS": "plugins.local",
    "WORKER_MODE": "runtime.worker_mode",
    "CLUSTER_MODE": "runtime.cluster_mode",
    "INIT_ROOT_EMAIL": "verify.account.email",
    "INIT_ROOT_PASSWORD": "verify.account.password",
    "SKIP_SAME_VERSION_UPGRADE": "",
}
"""Variables that nbops sets itself, with the key that they follow from (empty: none)."""

_URL_OF = {
    "CACHE_REDIS_URL": "cache",
    "PUBSUB_ADAPTER_REDIS_URL": "pubsub",
    "LOCK_ADAPTER_REDIS_URL": "lock",
    "QUEUE_ADAPTER_REDIS_URL": "queue",
    "REDIS_URL": "worker_id",
}
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Start:
    """How a node is started, as far as its environment shows it.

    `single`: one process, whatever `cluster_mode` says: right for the start that migrates.
    `install`: the account of `verify` is made when the database is empty.
    `skip_upgrade`: the database is at this version already, another node has seen to it.
    """

    single: bool = False
    install: bool = False
    skip_upgrade: bool = False


NORMAL = Start()
FIRST = Start(single=True, install=True)
FURTHER = Start(skip_upgrade=True)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where nodes find the servers that all share.

    `redis` maps the hosts of the group `redis` to their addresses, in the inventory's order;
    the first is the one that is used where the settings name none. `database_name` is the
    database in use where a restore put another in the place of the one that the settings name.
    """

    database: str
    redis: Mapping[str, str] = field(default_factory=dict)
    database_name: str = ""


# An adapter that is named here and not there stops the first installation half-way
# (seen on 2.2.15: `Lock adapter "redis" not registered`).
_NEEDS_PLUGIN = {
    "LOCK_ADAPTER_DEFAULT": "lock-adapter-redis",
    "QUEUE_ADAPTER": "queue-adapter-redis",
}


def environment(
    settings: Mapping[str, Any],
    addresses: Addresses,
    start: Start = NORMAL,
    port: int | None = None,
) -> dict[str, Text]:
    """The variables of one node, in a fixed order; secret ones as `Secret`.

    `port` is that of one of several instances on the host; default: `runtime.port`.
    Raises UsageError when a function of Redis names a host that is not in `addresses`.
    """
    runtime, keys = settings["runtime"], settings["secrets"]
    env: dict[str, Text] = {
        "APP_ENV": "production",
        "APP_PORT": str(port or runtime["port"]),
        "APP_KEY": _secret(keys["app_key"]),
        "APP_AES_SECRET_KEY": _secret(keys["aes_key"]),
    }
    env |= _database(settings["database"], addresses)
    env |= _redis(settings["redis"], addresses)
    plugins = _appended(settings, adapters="CACHE_REDIS_URL" in env)
    there = {plain_name(plugin) for plugin in plugins}
    for variable, plugin in _NEEDS_PLUGIN.items():
        if plugin not in there:
            env.pop(variable, None)
    env |= _plugins(settings, plugins)
    env |= _start(settings, start)
    for name, value in settings.get("env", {}).items():
        env[name] = value if isinstance(value, Secret) else str(value)
    return env


def _database(database: Mapping[str, Any], addresses: Addresses) -> dict[str, Text]:
    return {
        "DB_DIALECT": str(database["kind"]),
        "DB_HOST": str(database.get("host") or addresses.database),
        "DB_PORT": str(database["port"]),
        "DB_DATABASE": addresses.database_name or str(database["name"]),
        "DB_USER": str(database["user"]),
        "DB_PASSWORD": _secret(database["password"]),
    }


def _redis(redis: Mapping[str, Any], addresses: Addresses) -> dict[str, Text]:
    if not uses_redis(redis, addresses):
        return {}
    env: dict[str, Text] = {
        "CACHE_DEFAULT_STORE": "redis",
        "LOCK_ADAPTER_DEFAULT": "redis",
        "QUEUE_ADAPTER": "redis",
    }
    for variable, function in _URL_OF.items():
        env[variable] = redis_url(redis, function, addresses)
    return env


def uses_redis(redis: Mapping[str, Any], addresses: Addresses) -> bool:
    """Whether the settings lead to any Redis at all; a single node can do without."""
    own = any((redis.get(name) or {}).get("url") for name in REDIS_DATABASES)
    return bool(redis.get("url") or own or addresses.redis)


def redis_url(redis: Mapping[str, Any], function: str, addresses: Addresses) -> Text:
    """The address of the Redis that does `function` (`cache`, `pubsub`, `lock`, `queue`,
    `worker_id`): a Secret when there is a password in it, percent-encoded."""
    part = redis.get(function) or {}
    if part.get("url"):
        return _as_text(part["url"])
    number = part.get("database")
    if number is None:
        number = REDIS_DATABASES[function]
    if redis.get("url"):
        return _with_number(redis["url"], number, redis.get("password"))
    host = part.get("host") or next(iter(addresses.redis), None)
    if host is None or host not in addresses.redis:
        raise UsageError(
            f"redis.{function}: no host `{host}` in the group `redis`"
            if host
            else f"redis.{function}: there is no Redis for it",
            hint="add the host to the group `redis`, or set `url`",
        )
    place = f"{_bracket(addresses.redis[host])}:{redis.get('port') or 6379}/{number}"
    return _url("redis", place, redis.get("password"))


def _url(scheme: str, place: str, password: Any) -> Text:
    if not password:
        return f"{scheme}://{place}"
    return Secret(f"{scheme}://:{percent(reveal(password), safe='')}@{place}")


def _with_number(url: Text, number: int, password: Any) -> Text:
    """The address with a database number where it has none, and the password where it has none."""
    parts = urlsplit(reveal(url))
    place = parts.netloc
    path = parts.path if parts.path not in {"", "/"} else f"/{number}"
    secret = isinstance(url, Secret)
    if password and ":" not in place.rpartition("@")[0]:
        user, _, host = place.rpartition("@")
        place = f"{user}:{percent(reveal(password), safe='')}@{host}"
        secret = True
    text = urlunsplit((parts.scheme, place, path, parts.query, ""))
    return Secret(text) if secret else text


def _appended(settings: Mapping[str, Any], *, adapters: bool) -> tuple[str, ...]:
    """The plugins that the app is told to enable: as written, else all adapters."""
    names = (settings.get("plugins") or {}).get("append")
    if names is not None:
        return tuple(names)
    major = int(str(settings["version"]).split(".", 1)[0])
    every = ADAPTER_PLUGINS + (ADAPTER_PLUGINS_2 if major >= 2 else ())
    return every if adapters else ()


def plain_name(plugin: str) -> str:
    """What a plugin is called without its package's scope and prefix: an adapter of another
    maker does the same as NocoBase's own."""
    return plugin.rpartition("/")[2].removeprefix("plugin-")


def _plugins(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Text]:
    plugins = settings.get("plugins") or {}
    env: dict[str, Text] = {"APPEND_PRESET_BUILT_IN_PLUGINS": ",".join(names)} if names else {}
    service = plugins.get("package_service")
    if service:
        if service.get("url"):
            env["NOCOBASE_PKG_URL"] = str(service["url"])
        env["NOCOBASE_PKG_USERNAME"] = str(service["username"])
        env["NOCOBASE_PKG_PASSWORD"] = _secret(service["password"])
    if plugins.get("packages"):
        # Read by nobody: a node with other packages has another environment, and is started.
        env["NBOPS_LOCAL_PLUGINS"] = ",".join(str(one["mark"]) for one in plugins["packages"])
    return env


def _start(settings: Mapping[str, Any], start: Start) -> dict[str, Text]:
    runtime = settings["runtime"]
    env: dict[str, Text] = {}
    if runtime.get("worker_mode"):
        env["WORKER_MODE"] = str(runtime["worker_mode"])
    if runtime.get("cluster_mode") and not start.single:
        env["CLUSTER_MODE"] = str(runtime["cluster_mode"])
    account = (settings.get("verify") or {}).get("account")
    if account and start.install:
        env["INIT_ROOT_EMAIL"] = str(account["email"])
        env["INIT_ROOT_PASSWORD"] = _secret(account["password"])
    if start.skip_upgrade:
        env["SKIP_SAME_VERSION_UPGRADE"] = "true"
    return env


def fingerprint(env: Mapping[str, Text]) -> str:
    """A short proof that two nodes have the same environment: 64 hex digits.

    Equal exactly when all variables but those of one node or start are equal. Keyed with
    APP_KEY, so that it can be shown and stored: without that key no value can be guessed
    from it.
    """
    lines = [
        f"{name}\0{len(reveal(value))}\0{reveal(value)}"
        for name, value in sorted(env.items())
        if name not in PER_NODE
    ]
    key = hashlib.sha256(b"nbops environment\0" + reveal(env.get("APP_KEY", "")).encode()).digest()
    return hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def render_env_file(env: Mapping[str, Text]) -> Secret:
    """The variables as an `env_file` that Docker Compose v2 reads back exactly.

    Values that are more than plain characters stand in double quotes, with `\\`, `"` and `$`
    escaped (compose-go's dotenv: single quotes could not hold every value). Raises
    UsageError for a name that is none, and for a value with a line break or NUL.
    """
    return Secret("".join(f"{name}={_quoted(name, reveal(env[name]))}\n" for name in env))


def read_env_file(text: str) -> dict[str, str]:
    """The variables of what `render_env_file` wrote."""
    pairs = (line.split("=", 1) for line in text.split("\n") if line)
    return {name: _unquoted(value) for name, value in pairs}


def _unquoted(written: str) -> str:
    quoted = written.startswith('"')
    return re.sub(r"\\(.)", r"\1", written[1:-1]) if quoted else written


def _quoted(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"`{name}` is not the name of an environment variable")
    if any(sign in value for sign in "\n\r\0"):
        raise UsageError(
            f"the value of {name} has more than one line, which an environment file cannot hold",
            hint="encode it, for example with base64",
        )
    if _BARE.fullmatch(value):
        return value
    escaped = re.sub(r'([\\"$])', r"\\\1", value)
    return f'"{escaped}"'


def _secret(value: Any) -> Secret:
    return value if isinstance(value, Secret) else Secret(str(value))


def _as_text(value: Any) -> Text:
    return value if isinstance(value, Secret) else str(value)


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else address
