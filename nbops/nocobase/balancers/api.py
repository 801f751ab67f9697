"""What a kind of balancer must be able to do, and what it is told."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from nbops.actions.api import ActionContext, Diff
from nbops.base.secret import Secret
from nbops.nocobase.cluster import Endpoint

RETRY_AFTER = 30
MARK = "X-NBOps-Maintenance"
_SIDE_DOORS = (13100, 800)


@dataclass(frozen=True, slots=True)
class TlsPair:
    """A certificate with its chain, and its private key, both as PEM."""

    certificate: str
    key: Secret


@dataclass(frozen=True)
class BalancerPlan:
    """What a balancer does for a cluster.

    `nodes` are the apps that answer requests; those of a host in `drained` get no request.
    `address` is the public one (a URL) where there is one. `body_size` is the largest request
    as in the inventory (`100m`; `0`: any). `sticky` keeps a client at one node. `pages` are
    the texts of the 503 page by file name. `timeout` is in seconds, for requests that take
    long.
    """

    cluster: str
    nodes: Sequence[Endpoint]
    drained: frozenset[str] = frozenset()
    port: int = 80
    address: str = ""
    sticky: bool = False
    body_size: str = "0"
    tls: TlsPair | None = None
    pages: Mapping[str, str] = field(default_factory=dict, repr=False)
    ipv6: bool = False
    timeout: int = 3600

    @property
    def live(self) -> tuple[Endpoint, ...]:
        """The apps that get requests."""
        return tuple(node for node in self.nodes if node.host not in self.drained)

    @property
    def name(self) -> str:
        """The public host name; empty when none is known, or it is an IP address."""
        host = urlsplit(self.address).hostname or "" if "://" in self.address else self.address
        letters = any(sign.isalpha() for sign in host) and ":" not in host
        return host if letters and all(sign.isalnum() or sign in "-." for sign in host) else ""

    @property
    def redirects(self) -> bool:
        """Whether port 80 sends browsers to HTTPS: where HTTPS is on its usual port."""
        return self.tls is not None and self.port == 443

    @property
    def side_door(self) -> int:
        """The port on the balancer's loopback that leads to the nodes also under maintenance."""
        first, count = _SIDE_DOORS
        return first + zlib.crc32(self.cluster.encode()) % count

    @property
    def body_bytes(self) -> int:
        """The largest request in bytes; 0: any."""
        units = {"k": 10, "m": 20, "g": 30}
        unit = units.get(self.body_size[-1:].lower(), 0)
        return int(self.body_size[:-1] if unit else self.body_size) << unit


@dataclass(frozen=True)
class BalancerState:
    """What a balancer does now, as its host knows it.

    `digest` names the configuration that runs (not the one on disk); `nodes` and `drained`
    are those of the file. `running`: it runs, and will after a reboot.
    """

    running: bool = False
    maintenance: bool = False
    digest: str = ""
    nodes: tuple[str, ...] = ()
    drained: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """Whether something was (in check mode: would be) changed, and how it differs."""

    changed: bool = False
    diffs: tuple[Diff, ...] = ()


class Balancer(Protocol):
    """A kind of balancer that nbops configures. What it is given is checked by the server
    itself before it is used, and put back when it is refused. Every call can be repeated."""

    @property
    def kind(self) -> str:
        """Its name in the inventory."""

    @property
    def programs(self) -> Sequence[str]:
        """The programs that its host must have."""

    def look(self, plan: BalancerPlan, ctx: ActionContext) -> BalancerState:
        """What it does now."""

    def configure(self, plan: BalancerPlan, ctx: ActionContext) -> Change:
        """Send requests to the live nodes, or be ready to under the 503 page, which is
        neither put up nor taken down by this. A reload, and only when something is different."""

    def switch(self, plan: BalancerPlan, ctx: ActionContext, *, on: bool) -> Change:
        """Answer every request with the 503 page from now on, or none. Returns when no
        request that comes from now on is answered otherwise."""

    def settle(self, plan: BalancerPlan, ctx: ActionContext) -> None:
        """Returns when no request that comes from now on can go to a node that is not live."""


def stamp(plan: BalancerPlan, text: str) -> tuple[str, str]:
    """The first line of a configuration, which tells `read_stamp` what stands in it, and the
    digest that names the configuration. Certificate, key and pages are part of the digest."""
    parts = [text, *(f"{name}\0{page}" for name, page in sorted(plan.pages.items()))]
    if plan.tls is not None:
        parts += [plan.tls.certificate, plan.tls.key.reveal()]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    told = {
        "digest": digest,
        "nodes": [node.place for node in plan.nodes],
        "drained": sorted(plan.drained),
    }
    return f"# nbops: {json.dumps(told)}", digest


def read_stamp(line: str) -> Mapping[str, object]:
    """What the first line of a configuration tells; empty when it is none of ours."""
    _, mark, text = line.partition("# nbops: ")
    try:
        told = json.loads(text) if mark else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
