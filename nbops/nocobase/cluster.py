"""The cluster as the domain actions see it: a typed view of an inventory's variables. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbops.base.errors import ActionFailed, RefusedError, UsageError

STATE_FOLDER = "/var/lib/nbops"
AIM = "nocobase_aim"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One app of a host: its instance (from 1), and where it is reached from elsewhere."""

    host: str
    instance: int
    address: str
    port: int

    @property
    def here(self) -> str:
        """The base address of the app, for who stands on its host."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def there(self) -> str:
        """The base address of the app, for who stands elsewhere."""
        return f"http://{self.place}"

    @property
    def place(self) -> str:
        """Address and port as a balancer names them."""
        return f"{bracket(self.address)}:{self.port}"

    @property
    def name(self) -> str:
        """What a message calls it: the host, and the port where there are several."""
        return self.host if self.instance == 1 else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Member:
    """A host of the cluster: its name in the inventory, its address, its settings."""

    host: str
    address: str
    settings: Mapping[str, Any] = field(repr=False)

    def part(self, name: str) -> Mapping[str, Any]:
        """One part of the settings (`runtime`, `database`…); empty when it is not set."""
        return self.settings.get(name) or {}

    @property
    def port(self) -> int:
        """The port on which the host's first app listens."""
        return int(self.part("runtime").get("port") or 13000)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The apps of this host, on ports that count up from the first."""
        count = int(self.part("runtime").get("instances") or 1)
        return tuple(
            Endpoint(self.host, number + 1, self.address, self.port + number)
            for number in range(count)
        )

    @property
    def serves(self) -> bool:
        """Whether the host's apps are for requests."""
        return serves(self.part("runtime").get("worker_mode"))

    @property
    def mute(self) -> bool:
        """Whether the host's apps never say that they are up.

        With WORKER_MODE=`-` the app keeps its state to itself: its health address answers
        503, `APP_PREPARING`, for ever (server/lib/app-supervisor of 2.2.15, and seen).
        """
        return str(self.part("runtime").get("worker_mode") or "").strip() == "-"


@dataclass(frozen=True)
class Cluster:
    """All that the inventory says of a cluster, from the point of view of one host.

    `aim` is the release (its number, or `pending`) that is to be brought about, when it is
    not what the inventory says.
    """

    me: Member
    members: Mapping[str, Member]
    groups: Mapping[str, Sequence[str]]
    hostvars: Mapping[str, Mapping[str, Any]] = field(repr=False)
    aim: int | str | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The effective settings of this host."""
        return self.me.settings

    @property
    def name(self) -> str:
        """The cluster's name."""
        return str(self.settings["cluster"])

    @property
    def version(self) -> str:
        """The version of NocoBase that is to run, the image's tag: the one that the inventory
        names, or that of the release that is aimed at.

        Raises ActionFailed when no host has told of that release.
        """
        if self.aim is None:
            return str(self.settings["version"])
        for host in self.members:
            pending = self.fact(host, "nocobase_pending")
            for known in (*(self.fact(host, "nocobase_releases") or ()), pending):
                name = "pending" if known is pending else known["number"]
                if known and str(name) == str(self.aim):
                    return str(known["version"])
        raise ActionFailed(
            f"no host has told of release {self.aim}", hint="`nocobase_release: read` comes first"
        )

    @property
    def app_version(self) -> str:
        """The version that the app says of itself: without a tag's `-full`."""
        return self.version.removesuffix("-full")

    def part(self, name: str) -> Mapping[str, Any]:
        """One part of this host's settings; empty when it is not set."""
        return self.me.part(name)

    def group(self, name: str) -> tuple[Member, ...]:
        """The hosts of a group, in the inventory's order."""
        return tuple(self.members[host] for host in self.groups.get(name, ()))

    @property
    def nodes(self) -> tuple[Member, ...]:
        """The hosts that run the app."""
        return self.group("app")

    @property
    def serving(self) -> tuple[Member, ...]:
        """The hosts whose apps are for requests."""
        return tuple(node for node in self.nodes if node.serves)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every app that is for requests, and so stands behind the balancers."""
        return tuple(end for node in self.serving for end in node.endpoints)

    @property
    def apps(self) -> tuple[Endpoint, ...]:
        """Every app, those for background work too: all install or migrate alike."""
        return tuple(end for node in self.nodes for end in node.endpoints)

    @property
    def first(self) -> Endpoint:
        """The app that is started alone: the first that is for requests.

        Raises RefusedError when there is none.
        """
        if not self.endpoints:
            raise RefusedError(
                "no node is for requests: `worker_mode` of every host in `app` leaves `!` out",
                hint="at least one node needs no `worker_mode`, or one with `!` in its list",
            )
        return self.endpoints[0]

    def fact(self, host: str, name: str) -> Any:
        """A fact that an action left on a host; None when there is none."""
        return self.hostvars.get(host, {}).get(name)


def cluster_of(variables: Mapping[str, Any]) -> Cluster:
    """The view from the host whose variables these are.

    Raises UsageError when there is no `nocobase` variable.
    """
    if not variables.get("nocobase"):
        raise UsageError(
            "the inventory has no `nocobase:` variable",
            hint="`nbops init` writes an inventory with every setting explained",
        )
    me = str(variables["inventory_hostname"])
    hostvars: Mapping[str, Mapping[str, Any]] = variables["hostvars"]
    groups: Mapping[str, Sequence[str]] = variables["groups"]
    named = {me, *(host for hosts in groups.values() for host in hosts)}
    members = {host: _member(host, hostvars[host], variables["nocobase"]) for host in sorted(named)}
    return Cluster(members[me], members, groups, hostvars, variables.get(AIM))


def _member(host: str, own: Mapping[str, Any], cluster: Mapping[str, Any]) -> Member:
    settings: Mapping[str, Any] = own.get("nocobase") or cluster
    address = (settings.get("runtime") or {}).get("address") or own.get("ansible_host") or host
    return Member(host, str(address), settings)


def serves(worker_mode: Any) -> bool:
    """Whether an app of this WORKER_MODE is for requests: none is set, or `!` is in its list.

    As the app reads it (server/lib/worker-mode.js of 2.2.15): the list is split at commas and
    its parts are compared whole. `*` is every kind of background work and no requests, `-`
    nothing at all. An app that is not for requests listens all the same, and tells how it is
    unless it is mute.
    """
    mode = str(worker_mode or "").strip()
    return not mode or "!" in mode.split(",")


def bracket(address: str) -> str:
    """An address as it stands in a URL: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address
