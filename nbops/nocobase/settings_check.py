"""What must hold of a cluster's settings together: hosts, groups, and one host with another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from nbops.base.errors import Place, Problem
from nbops.base.yamlpos import YamlMap, did_you_mean, nearest, place_of
from nbops.inventory.model import ALL, UNGROUPED, Inventory, ungrouped_problems
from nbops.nocobase.environment import REDIS_DATABASES, RESERVED
from nbops.nocobase.settings_model import Settings, env_name_problem

MOST_NODES = 32
PER_HOST = frozenset({"runtime"})
_ROLES = ("app", "balancer", "database", "redis")


def cluster_problems(
    inventory: Inventory, hosts: Mapping[str, Settings], data: Mapping[str, YamlMap]
) -> list[Problem]:
    """Everything that is wrong beyond single values.

    `hosts` are the settings that are right in themselves, `data` what is written for each
    host. Checks that need settings are left out where there are none.
    """
    problems = [*ungrouped_problems(inventory), *_groups(inventory)]
    app = inventory.hosts_of("app")
    first = next((host for host in app if host in hosts), None)
    if first is None:
        return problems
    view = _View(inventory, hosts[first], data[first])
    problems += [*view.servers(), *view.nodes(app, hosts), *view.names()]
    problems += _differences(first, hosts, data)
    return problems


def _groups(inventory: Inventory) -> Iterator[Problem]:
    place = Place(str(inventory.file), 1)
    if not inventory.hosts_of("app"):
        written = [name for name in inventory.groups if name not in {ALL, UNGROUPED, *_ROLES}]
        near = nearest("app", written)
        yield Problem(
            "there is no host in the group `app`: nothing would run NocoBase",
            inventory.groups["app"].place if "app" in inventory.groups else place,
            f"is `{near}` meant? Its name must be `app`"
            if near
            else "put the hosts that run the app under `app: {hosts: …}`",
        )


class _View:
    """The settings that all hosts share, held against the groups of the inventory."""

    def __init__(self, inventory: Inventory, settings: Settings, data: YamlMap) -> None:
        self._inventory = inventory
        self._settings = settings
        self._data = data

    def servers(self) -> Iterator[Problem]:
        """Each server is somewhere: on a host of its group, or at an address."""
        yield from self._database()
        yield from self._redis()
        if self._settings.balancer.kind != "external" and not self._hosts("balancer"):
            yield self._problem(
                "there is no host in the group `balancer`",
                ("balancer",),
                "name one, or write `balancer: {kind: external, commands: …}`",
            )

    def nodes(self, app: tuple[str, ...], hosts: Mapping[str, Settings]) -> Iterator[Problem]:
        """How many there are, and whether they can share files."""
        count = sum(hosts[host].runtime.instances for host in app if host in hosts)
        if count > MOST_NODES:
            yield self._problem(
                f"{count} nodes: the ids of nodes end at {MOST_NODES - 1}, so {MOST_NODES} is "
                "the most",
                ("runtime",),
                "take hosts out of `app`, or lower `instances`",
            )
        storage = self._settings.storage
        if count > 1 and storage.kind is None and not storage.acknowledge:
            yield self._problem(
                f"{count} nodes, and nothing says how they share the app's files",
                ("storage",),
                "`storage: {kind: shared, path: …}` for a shared folder, `kind: object` for "
                "object storage, or `acknowledge: true` to go without",
            )
        serving = [host for host in app if host in hosts and hosts[host].runtime.serves]
        if not serving and all(host in hosts for host in app):
            yield self._problem(
                "no node serves requests: each has a `worker_mode` without `!`",
                ("runtime", "worker_mode"),
                "leave `worker_mode` out on at least one node",
            )
        least = self._settings.upgrade.min_nodes
        if least is not None and least > len(app):
            yield self._problem(
                f"`upgrade.min_nodes` is {least}, and there are {len(app)} nodes",
                ("upgrade", "min_nodes"),
            )

    def names(self) -> Iterator[Problem]:
        """Names that must not collide, and hosts that must be there."""
        for name in self._settings.env:
            wrong = env_name_problem(name)
            if wrong:
                yield self._problem(wrong, ("env", name), "letters, digits and `_`", key=True)
            elif name in RESERVED:
                key = RESERVED[name]
                yield self._problem(
                    f"`{name}` is set by nbops itself",
                    ("env", name),
                    f"it follows from `nocobase.{key}`" if key else "leave it out",
                    key=True,
                )
        for number, host in enumerate(self._settings.backup.copy_to):
            if host not in self._inventory.hosts:
                yield self._unknown_host(host, ("backup", "copy_to", number))
        if PurePosixPath(self._settings.runtime.dir) == PurePosixPath("/"):
            yield self._problem("`runtime.dir` cannot be `/`", ("runtime", "dir"))

    def _database(self) -> Iterator[Problem]:
        database, hosts = self._settings.database, self._hosts("database")
        if database.managed and not hosts:
            yield self._problem(
                "`managed: true`, and no host in the group `database`",
                ("database", "managed"),
                "name the host, or set `host` to where the database is",
            )
        elif not database.managed and not database.host and not hosts:
            yield self._problem(
                "nothing says where the database is",
                ("database",),
                "set `host`, or name a host in the group `database`",
            )
        if len(hosts) > 1:
            yield self._problem(
                f"{len(hosts)} hosts in the group `database`: NocoBase knows one",
                ("database",),
                "keep one; a replica belongs behind an address of its own",
            )

    def _redis(self) -> Iterator[Problem]:
        redis, hosts = self._settings.redis, self._hosts("redis")
        parts = {name: getattr(redis, name) for name in REDIS_DATABASES}
        everywhere = redis.url is not None or all(part.url for part in parts.values())
        if redis.managed and not hosts:
            yield self._problem(
                "`managed: true`, and no host in the group `redis`",
                ("redis", "managed"),
                "name the host, or set `url`",
            )
        elif not everywhere and not hosts and len(self._hosts("app")) > 1:
            yield self._problem(
                "several nodes, and nothing says where Redis is",
                ("redis",),
                "name a host in the group `redis`, or set `url`",
            )
        for name, part in parts.items():
            if part.host is not None and part.host not in hosts:
                yield self._unknown_host(part.host, ("redis", name, "host"), hosts)
        yield from self._numbers(parts)

    def _numbers(self, parts: Mapping[str, Any]) -> Iterator[Problem]:
        """Two functions in one database of one server: their keys would collide."""
        seen: dict[tuple[str | None, int], str] = {}
        for name, part in parts.items():
            if part.url is not None:
                continue
            number = REDIS_DATABASES[name] if part.database is None else part.database
            other = seen.setdefault((part.host, number), name)
            if other != name:
                yield self._problem(
                    f"`{other}` and `{name}` share database {number} of one Redis",
                    ("redis", name),
                    "give each its own number: their keys could collide",
                )

    def _hosts(self, role: str) -> tuple[str, ...]:
        return self._inventory.hosts_of(role)

    def _unknown_host(
        self, host: str, loc: tuple[Any, ...], among: tuple[str, ...] | None = None
    ) -> Problem:
        known = among if among is not None else tuple(self._inventory.hosts)
        where = "the group `redis`" if among is not None else "the inventory"
        return self._problem(f"no host `{host}` in {where}", loc, did_you_mean(host, known))

    def _problem(
        self, message: str, loc: tuple[Any, ...], hint: str | None = None, *, key: bool = False
    ) -> Problem:
        return Problem(message, place_of(self._data, loc, key=key), hint)


def _differences(
    first: str, hosts: Mapping[str, Settings], data: Mapping[str, YamlMap]
) -> Iterator[Problem]:
    """Settings that must be equal on all hosts and are not."""
    for host, settings in hosts.items():
        if settings is hosts[first]:
            continue
        for section in Settings.model_fields:
            if section in PER_HOST or getattr(settings, section) == getattr(hosts[first], section):
                continue
            yield Problem(
                f"`{section}` of host `{host}` differs from that of `{first}`",
                place_of(data[host], (section,), key=True),
                "only `runtime` may differ; write the rest once, under `all: vars:`",
            )
