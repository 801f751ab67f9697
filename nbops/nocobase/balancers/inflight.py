"""Requests in flight between a balancer and the nodes, seen by the balancer's kernel.

Whatever the server calls its connections: while a request is answered there is one to the
node, and it is gone with the answer, because none is kept. Those with TCP keepalive are
websockets, which end when they are closed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from nbops.actions.api import ActionContext
from nbops.base.command import quote

PROGRAM = "ss"
_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many requests and websockets are under way."""

    requests: int = 0
    sockets: int = 0


def look_script(places: Sequence[str]) -> str:
    """Prints a line for every connection to the nodes; changes nothing."""
    return f"ss -Htno state established state syn-sent {_filter(places)}\n"


def read_look(output: str) -> InFlight:
    """What `look_script` printed."""
    lines = [line for line in output.splitlines() if line.strip()]
    sockets = sum("timer:(keepalive" in line for line in lines)
    return InFlight(len(lines) - sockets, sockets)


def close_script(places: Sequence[str]) -> str:
    """Ends what is left of connections to the nodes; the server ends the clients' side. A
    kernel that cannot do this leaves them until their node stops."""
    return f"ss -K {_filter(places)} >/dev/null 2>&1 || true\n"


def wait(
    ctx: ActionContext, places: Sequence[str], seconds: float, *, close: bool = True
) -> InFlight:
    """Wait until requests to the nodes have ended, at most so many seconds; then close what is
    left, websockets first of all. Gives what was left: requests that were cut, websockets."""
    if not places:
        return InFlight()
    end = time.monotonic() + seconds
    left = _look(ctx, places)
    quiet = 0
    while True:
        # Twice: a request just accepted may not have reached its node at the first look.
        quiet = quiet + 1 if not left.requests else 0
        if quiet > 1 or time.monotonic() > end:
            break
        if left.requests:
            ctx.progress(f"{left.requests} requests in flight")
        ctx.stop.sleep(_PAUSE)
        left = _look(ctx, places)
    if close and (left.requests or left.sockets):
        ctx.act(close_script(places))
    return left


def _look(ctx: ActionContext, places: Sequence[str]) -> InFlight:
    return read_look(ctx.probe(look_script(places)).out)


def _filter(places: Sequence[str]) -> str:
    return quote(f"( {' or '.join(f'dst {place}' for place in places)} )")
