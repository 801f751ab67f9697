"""The cluster as the domain actions see it: a typed view of an inventory's variables. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbops.base.errors import UsageError

STATE_FOLDER = "/var/lib/nbops"


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
        """The port on which the node's app listens."""
        return int(self.part("runtime").get("port") or 13000)

    @property
    def serves(self) -> bool:
        """Whether the node answers requests: a worker mode without `!` does not."""
        mode = str(self.part("runtime").get("worker_mode") or "")
        return not mode or "!" in mode

    @property
    def here(self) -> str:
        """The base address of the node's app, for who stands on the node itself."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def there(self) -> str:
        """The base address of the node's app, for who stands elsewhere."""
        return f"http://{bracket(self.address)}:{self.port}"


@dataclass(frozen=True)
class Cluster:
    """All that the inventory says of a cluster, from the point of view of one host."""

    me: Member
    members: Mapping[str, Member]
    groups: Mapping[str, Sequence[str]]
    hostvars: Mapping[str, Mapping[str, Any]] = field(repr=False)

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
        """The version of NocoBase that the inventory names: the image's tag."""
        return str(self.settings["version"])

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
        """The nodes that answer requests, and so stand behind the balancer."""
        return tuple(node for node in self.nodes if node.serves)

    @property
    def others(self) -> tuple[Member, ...]:
        """The nodes that answer requests, without this host."""
        return tuple(node for node in self.serving if node.host != self.me.host)

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
    return Cluster(members[me], members, groups, hostvars)


def _member(host: str, own: Mapping[str, Any], cluster: Mapping[str, Any]) -> Member:
    settings: Mapping[str, Any] = own.get("nocobase") or cluster
    address = (settings.get("runtime") or {}).get("address") or own.get("ansible_host") or host
    return Member(host, str(address), settings)


def bracket(address: str) -> str:
    """An address as it stands in a URL: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address
