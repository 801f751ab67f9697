"""A cluster at a glance: what was seen of it, and what of that is not as it should be. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nbops.nocobase.releases import way_out

TRAFFIC = "traffic"
PAGE = "503 page"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not as it should be, and what to do about it."""

    what: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class AppSeen:
    """One app of a node. `health` and `version` are its own words; `since` is UTC; `up` is
    whether it serves; `visited` whether it is for requests; `comes_back` whether it starts with
    its machine. `refused_by` are the balancers that send it nothing, `drained_by` those that
    were told not to."""

    host: str
    name: str
    runtime: str
    running: bool = False
    up: bool = False
    health: str = ""
    version: str = ""
    since: str = ""
    restarts: int = 0
    comes_back: bool = True
    visited: bool = True
    refused_by: tuple[str, ...] = ()
    drained_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BalancerSeen:
    """A balancer: what its visitors get (`traffic`, `503 page`, or how it answers instead), and
    the addresses of the apps in its configuration (None: not to be seen)."""

    host: str
    kind: str
    gives: str
    running: bool = True
    nodes: tuple[str, ...] | None = None
    drained: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RedisSeen:
    """A Redis server as a node reaches it."""

    place: str
    functions: tuple[str, ...]
    up: bool
    version: str = ""
    said: str = ""


@dataclass(frozen=True, kw_only=True)
class DatabaseSeen:
    """The app's database: `version` is that of the app that upgraded it last; `size` in bytes,
    those of its sub-applications included."""

    host: str
    kind: str
    name: str
    server: int
    size: int
    version: str


@dataclass(frozen=True, kw_only=True)
class LockSeen:
    """The cluster's lock. `alive`: its holder gave a sign of life less than a minute ago; the
    last one `silent` seconds ago."""

    held: bool = False
    alive: bool = False
    run: str = ""
    owner: str = ""
    command: str = ""
    since: str = ""
    silent: int = 0


@dataclass(frozen=True, kw_only=True)
class Glance:
    """A cluster as it was seen. `hosts` maps every host to why it could not be used (empty: it
    could); `faults` are looks that failed; `release`, `pending` and `backup` are facts of them;
    `records` maps hosts to the number of the latest record that they hold."""

    cluster: str
    hosts: Mapping[str, str]
    apps: Sequence[AppSeen] = ()
    balancers: Sequence[BalancerSeen] = ()
    redis: Sequence[RedisSeen] = ()
    database: DatabaseSeen | None = None
    lock: LockSeen = field(default_factory=LockSeen)
    release: Mapping[str, Any] | None = None
    pending: Mapping[str, Any] | None = None
    backup: Mapping[str, Any] | None = None
    records: Mapping[str, int] = field(default_factory=dict)
    faults: Sequence[Trouble] = ()

    @property
    def reached(self) -> bool:
        """Whether any host could be used."""
        return any(not why for why in self.hosts.values())

    def document(self) -> dict[str, Any]:
        """All of it as plain data."""
        found = troubles(self)
        return asdict(self) | {"good": not found, "troubles": [asdict(one) for one in found]}


def troubles(seen: Glance) -> list[Trouble]:
    """All that is not as it should be; empty when every part serves."""
    found = [
        Trouble(f"{host} cannot be used: {why}") for host, why in sorted(seen.hosts.items()) if why
    ]
    work = list(_work(seen))
    for part in (_records, _apps, _balancers, _behind):
        found += part(seen)
    found += seen.faults
    if seen.lock.alive or work:  # What to do is being done; or that comes first.
        found = [Trouble(one.what) for one in found]
    return work + found


def _work(seen: Glance) -> Iterator[Trouble]:
    """A run that was interrupted, or what one left half-way."""
    lock, pending = seen.lock, seen.pending
    if lock.alive:
        return
    if lock.held:
        way = way_out(lock.command, pending, seen.release)
        then = f", then `nbops {way}`" if way else ""
        yield Trouble(
            f"the run {lock.run} ({lock.command}, of {lock.owner}) was interrupted",
            f"`nbops resume {lock.run}` or `nbops abort {lock.run}` on that computer; from any"
            f" other one `nbops lock break {lock.run}`{then}",
        )
    elif pending:
        yield Trouble(
            f"{pending['who']} began to bring it to {pending['version']} (run {pending['run']}),"
            " and neither finished nor undid it",
            f"on that computer `nbops resume {pending['run']}` or `nbops abort {pending['run']}`;"
            " from any other one `nbops rollback`",
        )


def _records(seen: Glance) -> Iterator[Trouble]:
    if seen.release is None:
        if seen.reached:
            yield Trouble("nothing is deployed", "`nbops deploy` brings it up")
        return
    number = int(seen.release["number"])
    behind = sorted(host for host, last in seen.records.items() if last != number)
    if behind:
        yield Trouble(
            f"the record of release {number} is not on {', '.join(behind)}",
            "`nbops deploy` puts it on every host",
        )


def _apps(seen: Glance) -> Iterator[Trouble]:
    wanted = str((seen.release or {}).get("version", "")).removesuffix("-full")
    for app in seen.apps if seen.release else ():
        if not app.running:
            yield Trouble(f"{app.name} does not run", "`nbops deploy` starts it")
        elif not app.up:
            yield Trouble(f"{app.name} does not serve: {app.health}", f"`nbops logs {app.host}`")
        elif app.version and app.version != wanted:
            yield Trouble(f"{app.name} serves {app.version}, the release is {wanted}")
        elif not app.comes_back:
            yield Trouble(
                f"{app.name} would not come back after a reboot", "`nbops deploy` lets it"
            )
        for balancer in app.refused_by:
            yield Trouble(f"{balancer} sends no requests to {app.name}", "`nbops deploy` mends it")
        for balancer in app.drained_by:
            yield Trouble(f"{app.name} is drained at {balancer}", "`nbops deploy` brings it back")


def _balancers(seen: Glance) -> Iterator[Trouble]:
    for one in seen.balancers if seen.release else ():
        if one.gives == PAGE:
            ways = "`nbops maintenance off` takes it down"
            yield Trouble(f"{one.host} shows visitors the 503 page", ways)
        elif one.gives != TRAFFIC:
            yield Trouble(f"{one.host} does not serve visitors: {one.gives}")
        elif not one.running:
            yield Trouble(f"{one.kind} on {one.host} would not run after a reboot")


def _behind(seen: Glance) -> Iterator[Trouble]:
    """What stands behind the app."""
    for one in seen.redis:
        if not one.up:
            yield Trouble(
                f"Redis at {one.place} ({', '.join(one.functions)}) does not answer: {one.said}"
            )
    database, release = seen.database, seen.release
    if database and release and database.version:
        wanted = str(release["version"]).removesuffix("-full")
        if database.version != wanted:
            yield Trouble(
                f"the database {database.name} is of version {database.version},"
                f" the release is {wanted}"
            )


def behind_balancers(
    app: AppSeen, places: Iterable[str], balancers: Iterable[BalancerSeen]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which balancers do not have an app of these addresses, and which have it drained."""
    refused, drained = [], []
    for one in balancers:
        if one.nodes is None or not app.visited:
            continue
        if not set(places) & set(one.nodes):
            refused.append(one.host)
        elif app.host in one.drained:
            drained.append(one.host)
    return tuple(refused), tuple(drained)


def moment(text: str) -> str:
    """When an app began, as its runtime tells it, as `2026-11-23 08:47:33`; what is no such
    time (`0001-…` of a container that never ran) becomes empty."""
    match = re.search(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", text)
    return f"{match[1]} {match[2]}" if match and not match[1].startswith("0001") else ""
