"""What a kind of database must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nbops.actions.api import ActionContext, Result
from nbops.base.secret import Secret


@dataclass(frozen=True)
class DatabasePlan:
    """The database as the cluster wants it. `clients` are the addresses of the nodes."""

    name: str
    user: str
    password: Secret = field(repr=False)
    port: int
    clients: Sequence[str]


class Database(Protocol):
    """A kind of database, run by nbops on a host of its own."""

    @property
    def kind(self) -> str:
        """Its name in the inventory."""

    @property
    def programs(self) -> Sequence[str]:
        """The programs that its host must have."""

    def serve(self, plan: DatabasePlan, ctx: ActionContext) -> Result:
        """Configure the server for the nodes, and have it run now and after a reboot."""

    def create(self, plan: DatabasePlan, ctx: ActionContext) -> Result:
        """Make the user and the database where they are missing; mend the password."""
