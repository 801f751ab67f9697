"""Which machines a lab has, how they are called and where they are. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Network

from nbops.base.errors import LabError, UsageError
from nbops.base.yamlpos import did_you_mean

# Set aside for tests of network equipment (RFC 2544): routed nowhere.
RANGE = ipaddress.IPv4Network("198.18.0.0/15")
REGISTRY_PORT = 5000
MOST_NODES = 32
MOST_BALANCERS = 4
REDIS_HOSTS = {
    "cache": "cache",
    "pubsub": "pubsub",
    "lock": "lock",
    "queue": "queue",
    "worker_id": "ids",
}
"""The functions of Redis, and the machine of each where they are separate."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class App(StrEnum):
    """What is installed on the nodes later: the real thing, or a small stand-in."""

    NOCOBASE = "nocobase"
    SAMPLE = "sample"


class Runtime(StrEnum):
    """How the nodes run the app; `mixed`: every second node without containers."""

    COMPOSE = "compose"
    PM2 = "pm2"
    MIXED = "mixed"


class Database(StrEnum):
    """The kind of database."""

    POSTGRES = "postgres"
    MARIADB = "mariadb"


class Balancer(StrEnum):
    """The kind of balancer."""

    NGINX = "nginx"
    HAPROXY = "haproxy"


class Redis(StrEnum):
    """One server for all that the nodes share, or one for each function."""

    ONE = "one"
    SEPARATE = "separate"


class Role(StrEnum):
    """What a machine is for; the first four are also groups of the inventory."""

    APP = "app"
    BALANCER = "balancer"
    DATABASE = "database"
    REDIS = "redis"
    REGISTRY = "registry"


_CHOICES: dict[str, type[StrEnum]] = {
    "app": App,
    "runtime": Runtime,
    "database": Database,
    "balancer": Balancer,
    "redis": Redis,
}


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
    """What a lab is: its machines, and what is to run on them."""

    nodes: int = 3
    app: App = App.NOCOBASE
    version: str = "2.2.15"
    runtime: Runtime = Runtime.COMPOSE
    database: Database = Database.POSTGRES
    balancer: Balancer = Balancer.NGINX
    balancers: int = 1
    redis: Redis = Redis.ONE

    def __str__(self) -> str:
        """Count, app and version, then whatever is not as usual."""
        usual = Shape()
        parts = [f"{_count(self.nodes, 'node')} for {self.app} {self.version}"]
        parts += [
            getattr(self, part).value
            for part in ("runtime", "database", "balancer")
            if getattr(self, part) != getattr(usual, part)
        ]
        if self.balancers > 1:
            parts.append(_count(self.balancers, "balancer"))
        if self.redis is Redis.SEPARATE:
            parts.append("a Redis for each function")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for; what is None is as the lab is, or as usual."""

    nodes: int | None = None
    app: str | None = None
    version: str | None = None
    runtime: str | None = None
    database: str | None = None
    balancer: str | None = None
    balancers: int | None = None
    redis: str | None = None


def check_name(name: str) -> str:
    """`name` if a lab can bear it; UsageError if not."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a lab cannot be called {name!r}",
            hint="up to 31 lower-case letters, digits and dashes, a letter first: `--name trial-2`",
        )
    return name


def wanted_shape(wish: Wish, standing: Shape = Shape()) -> Shape:
    """The shape that a wish makes of the one that stands. UsageError when it makes no sense."""
    asked = {name: value for name, value in asdict(wish).items() if value is not None}
    for name, kind in _CHOICES.items():
        if name in asked:
            asked[name] = _choice(name, kind, asked[name])
    shape = replace(standing, **asked)
    if not 1 <= shape.nodes <= MOST_NODES:
        raise UsageError(
            f"a lab cannot have {_count(shape.nodes, 'node')}",
            hint=f"from 1 to {MOST_NODES}; NocoBase allows no more in a cluster",
        )
    if not 1 <= shape.balancers <= MOST_BALANCERS:
        raise UsageError(
            f"a lab cannot have {_count(shape.balancers, 'balancer')}",
            hint=f"from 1 to {MOST_BALANCERS}",
        )
    return shape


def grows(standing: Shape, wanted: Shape) -> bool:
    """Whether the second shape is the first with more nodes."""
    return wanted.nodes > standing.nodes and replace(wanted, nodes=standing.nodes) == standing


def machines(subnet: Subnet, shape: Shape) -> tuple[Machine, ...]:
    """All machines of a lab, nodes last."""

    def machine(host: str, role: Role, last: int) -> Machine:
        return Machine(host, role, subnet.address(last))

    redis = REDIS_HOSTS.values() if shape.redis is Redis.SEPARATE else ["cache"]
    return (
        machine("registry", Role.REGISTRY, 2),
        machine("lb", Role.BALANCER, 3),
        *(machine(f"lb{n}", Role.BALANCER, 50 + n) for n in range(2, shape.balancers + 1)),
        machine("db", Role.DATABASE, 4),
        *(machine(host, Role.REDIS, 5 + n) for n, host in enumerate(redis)),
        *(machine(f"node{n}", Role.APP, 10 + n) for n in range(1, shape.nodes + 1)),
    )


def _choice(name: str, kind: type[StrEnum], value: str) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        choices = " or ".join(f"`{each}`" for each in kind)
        raise UsageError(f"there is no {name} {value!r} for a lab", hint=choices) from None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


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
