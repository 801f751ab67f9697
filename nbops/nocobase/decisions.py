"""What to do with a node, decided from what is known of it and of the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbops.nocobase.health import Health, HealthReport
from nbops.nocobase.runtimes.api import NodeState, Start


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node as this one sees it now."""

    host: str
    health: HealthReport
    version: str | None = None


def why_start(
    state: NodeState, health: HealthReport, configuration: str, image: str, several: bool
) -> str:
    """Why a node must be started (again), in a few words; empty when it is as it should be.

    `image` is the image's id on the node (empty: not known). `several` tells that the node
    is to have more than the one process of a first start.
    """
    reasons = {
        "it was never started here": not state.there,
        "it does not run": not state.running,
        "its configuration has changed": state.configuration != configuration,
        "its image has changed": bool(image) and state.image != image,
        "it has one process since its first start": several and state.start is Start.FIRST,
        f"it is broken ({health})": health.state in {Health.BROKEN, Health.NOT_INSTALLED},
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def how_start(
    version: str, first: bool, me: Peer, peers: Sequence[Peer]
) -> tuple[Start | None, str]:
    """How a node may start while it and the others are as they are; None: it may not.

    The text says why. At most one process installs or migrates: a start that may do so
    (`first`) needs all others silent, and every other start needs a node (itself, before it
    is started again, or another) that already serves this version: the database is at it
    then. Two versions never serve at the same time.
    """
    for peer in peers:
        if peer.version and peer.version != version:
            return None, f"{peer.host} runs {peer.version}, and two versions never run together"
    serving = [peer.host for peer in (me, *peers) if peer.health.up and peer.version == version]
    if serving:
        return Start.NODE, f"{serving[0]} serves {version}"
    if not first:
        return None, (
            f"no other node serves {version} yet: the database may not be at this version,"
            " and only one node may install or migrate"
        )
    busy = [peer for peer in peers if peer.health.state is not Health.SILENT]
    if busy:
        return None, f"{busy[0].host} is not silent ({busy[0].health}): only one node may migrate"
    return Start.FIRST, "no other node runs"
