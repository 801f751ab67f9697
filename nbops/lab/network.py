"""A lab's network: a namespace of its own, a bridge in it, one cable from the box.

The box is an ordinary host in the lab's network, so every program on it reaches the
machines by address. The machines have no way out: no default route, and what the box does
not know in the test range falls into a blackhole instead of leaving by its own default.
"""

from __future__ import annotations

import json
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from nbops.base.errors import LabError
from nbops.lab.layout import RANGE, Subnet
from nbops.lab.mounts import read_mounts
from nbops.lab.shell import run

NAMESPACES = Path("/run/netns")
BRIDGE = "br0"
_PREFIX = "nbops-"
_INTERFACES = Path("/sys/class/net")
# Marks the blackhole as made by a lab (rtnetlink(7): protocols are free for such use).
_OUR_PROTOCOL = "198"


def namespace(lab: str) -> Path:
    """The file by which the lab's network namespace is entered."""
    return NAMESPACES / f"{_PREFIX}{lab}"


def labs() -> frozenset[str]:
    """The names of all labs that have a network namespace."""
    if not NAMESPACES.is_dir():
        return frozenset()
    return frozenset(
        path.name.removeprefix(_PREFIX)
        for path in NAMESPACES.iterdir()
        if path.name.startswith(_PREFIX)
    )


def networks_in_use() -> tuple[IPv4Network, ...]:
    """All networks that the box has a route to."""
    return route_networks(json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"])))


def route_networks(routes: list[dict[str, Any]]) -> tuple[IPv4Network, ...]:
    """The networks in what `ip -j route` printed."""
    found = []
    for route in routes:
        target = str(route.get("dst", "default"))
        found.append(IPv4Network("0.0.0.0/0" if target == "default" else target, strict=False))
    return tuple(found)


def make(lab: str, subnet: Subnet) -> None:
    """Make the lab's network. Nothing of it may be there yet.

    The caller holds the lock that all labs share.
    """
    _guard_the_range()
    space = namespace(lab).name
    run(["ip", "netns", "add", space])
    run(["ip", "-n", space, "link", "set", "lo", "up"])
    run(["ip", "-n", space, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"])
    run(["ip", "-n", space, "link", "set", BRIDGE, "up"])
    cable = ["type", "veth", "peer", "name", subnet.inner, "netns", space]
    run(["ip", "link", "add", subnet.outer, *cable])
    run(["ip", "-n", space, "link", "set", subnet.inner, "master", BRIDGE, "up"])
    run(["ip", "link", "set", subnet.outer, "up"])
    run(["ip", "address", "add", f"{subnet.box}/{subnet.network.prefixlen}", "dev", subnet.outer])


def is_made(lab: str, subnet: Subnet) -> bool:
    """Whether the lab's network is there."""
    return namespace(lab).exists() and (_INTERFACES / subnet.outer).exists()


def remove(lab: str, subnet: Subnet | None) -> None:
    """Remove what there is of the lab's network.

    `subnet` is None when nothing tells it any more; its cable then goes with the namespace.
    """
    space = namespace(lab)
    if space.exists():
        # A file that was made but never became a namespace makes `ip` fail.
        with suppress(LabError):
            run(["ip", "netns", "del", space.name])
        space.unlink(missing_ok=True)
    if subnet is not None and (_INTERFACES / subnet.outer).exists():
        # The kernel may be about to remove it, with the namespace at its other end.
        with suppress(LabError):
            run(["ip", "link", "del", subnet.outer])
        if (_INTERFACES / subnet.outer).exists():
            raise LabError(f"the interface {subnet.outer} could not be removed")


def remove_guard() -> None:
    """Take the blackhole away, if a lab made it, and the empty folder of namespaces.

    For when the last lab is gone; the caller holds the lock that all labs share.
    """
    if run(["ip", "-4", "route", "show", "type", "blackhole", "proto", _OUR_PROTOCOL]).strip():
        run(["ip", "route", "del", "blackhole", str(RANGE), "proto", _OUR_PROTOCOL])
    if NAMESPACES.is_dir() and not any(NAMESPACES.iterdir()):
        if any(mount.folder == NAMESPACES for mount in read_mounts()):
            run(["umount", NAMESPACES])
        with suppress(OSError):  # somebody else's namespace came between
            NAMESPACES.rmdir()


def _guard_the_range() -> None:
    blackholes = run(["ip", "-4", "route", "show", "type", "blackhole"])
    if not any(line.split()[1:2] == [str(RANGE)] for line in blackholes.splitlines()):
        run(["ip", "route", "add", "blackhole", str(RANGE), "proto", _OUR_PROTOCOL])
