"""Which machines a lab has, how they are called and where they are. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

from nbops.base.errors import LabError
from nbops.base.yamlpos import did_you_mean

# Set aside for tests of network equipment (RFC 2544): routed nowhere.
RANGE = ipaddress.IPv4Network("198.18.0.0/15")
REGISTRY_PORT = 5000
MOST_NODES = 32
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class App(StrEnum):
    """What is installed on the nodes later: the real thing, or a small stand-in."""

    NOCOBASE = "nocobase"
    SAMPLE = "sample"


class Role(StrEnum):
    """What a machine is for; the first four are also groups of the inventory."""

    APP = "app"
    BALANCER = "balancer"
    DATABASE = "database"
    REDIS = "redis"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a lab."""

    host: str
    role: Role
    address: str


@dataclass(frozen=True, slots=True)
class Subnet:
    """One of the 512 networks of 256 addresses in the test range, by its number."""

    number: int

    @property
    def network(self) -> IPv4Network:
        """All addresses of the lab."""
        start = int(RANGE.network_address) + self.number * 256
        return IPv4Network((start, 24))

    def address(self, last: int) -> str:
        """The address that ends in `last`."""
        return str(self.network[last])

    @property
    def box(self) -> str:
        """The box's own address in the lab's network."""
        return self.address(1)

    @property
    def outer(self) -> str:
        """The box's end of the cable into the lab. A kernel allows names of 15 letters."""
        return f"nbops{self.number}"

    @property
    def inner(self) -> str:
        """The lab's end of that cable."""
        return f"cable{self.number}"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the user asked for: how many nodes, with which app in which version."""

    nodes: int
    app: App
    version: str

    def __str__(self) -> str:
        count = f"{self.nodes} node{'s' if self.nodes > 1 else ''}"
        return f"{count} for {self.app} {self.version}"


def check_name(name: str) -> str:
    """`name` if a lab can bear it; LabError if not."""
    if not _NAME.fullmatch(name):
        raise LabError(
            f"a lab cannot be called {name!r}",
            hint="up to 31 lower-case letters, digits and dashes, a letter first: `--name trial-2`",
        )
    return name


def check_shape(nodes: int, app: str, version: str) -> Shape:
    """The shape in checked form; LabError when it makes no sense."""
    if not 1 <= nodes <= MOST_NODES:
        raise LabError(
            f"a lab cannot have {nodes} nodes",
            hint=f"from 1 to {MOST_NODES}; NocoBase allows no more in a cluster",
        )
    if app not in list(App):
        raise LabError(f"there is no app {app!r} for a lab", hint="`nocobase` or `sample`")
    return Shape(nodes, App(app), version)


def machines(subnet: Subnet, nodes: int) -> tuple[Machine, ...]:
    """All machines of a lab, nodes last."""
    fixed = (
        Machine("registry", Role.REGISTRY, subnet.address(2)),
        Machine("lb", Role.BALANCER, subnet.address(3)),
        Machine("db", Role.DATABASE, subnet.address(4)),
        Machine("cache", Role.REDIS, subnet.address(5)),
    )
    numbered = (Machine(f"node{n}", Role.APP, subnet.address(10 + n)) for n in range(1, nodes + 1))
    return (*fixed, *numbered)


def find_machine(host: str, among: Iterable[Machine]) -> Machine:
    """The machine called `host`; LabError with the nearest name when there is none."""
    by_name = {machine.host: machine for machine in among}
    if host in by_name:
        return by_name[host]
    raise LabError(
        f"this lab has no machine {host!r}",
        hint=did_you_mean(host, by_name) or f"it has {', '.join(by_name)}",
    )


def choose_subnet(taken: Iterable[IPv4Network]) -> Subnet:
    """The first subnet that overlaps none of `taken`.

    Networks that hold the whole test range do not count: that is a default route, or the
    blackhole that keeps the range from leaving the box. Raises LabError when all 512 are
    taken.
    """
    near = [net for net in taken if net.overlaps(RANGE) and not RANGE.subnet_of(net)]
    for number in range(RANGE.num_addresses // 256):
        subnet = Subnet(number)
        if not any(subnet.network.overlaps(net) for net in near):
            return subnet
    raise LabError(f"all of {RANGE} is in use", hint="`nbops lab down --all` frees it")


def machine_name(host: str, subnet: Subnet) -> str:
    """The name of a machine on the box: at most 12 letters, so that `vb-` fits before it."""
    return f"{host}-{subnet.number}"
