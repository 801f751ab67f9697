"""What a kind of balancer must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nbops.actions.api import ActionContext, Result


@dataclass(frozen=True)
class BalancerPlan:
    """What a balancer does for a cluster.

    `nodes` are the addresses with port of the nodes that answer requests. `body_size` is
    the largest request in the balancer's own notation (`0`: any). `sticky` keeps a client
    at one node. `timeout` is in seconds, for requests that take long.
    """

    cluster: str
    nodes: Sequence[str]
    port: int = 80
    sticky: bool = False
    body_size: str = "0"
    timeout: int = 3600


class Balancer(Protocol):
    """A kind of balancer. What it is given is checked by the balancer itself before it is
    used, and put back when it is refused."""

    @property
    def kind(self) -> str:
        """Its name in the inventory."""

    @property
    def programs(self) -> Sequence[str]:
        """The programs that its host must have."""

    def configure(self, plan: BalancerPlan, ctx: ActionContext) -> Result:
        """Send requests to the nodes; a reload, and only when something is different."""
