"""What a kind of database must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from nbops.nocobase.kept import Service


@dataclass(frozen=True)
class DatabasePlan:
    """The database as the cluster wants it. `clients` are the addresses of the nodes. `deployed`:
    there is a release, so that other addresses from which its user comes were its nodes."""

    name: str
    user: str
    password: Secret = field(repr=False)
    port: int
    clients: Sequence[str]
    deployed: bool = True


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

    def service(self, ctx: ActionContext) -> Service:
        """The server on its host, with the files that `serve` writes."""

    def held(self, plan: DatabasePlan, ctx: ActionContext) -> Sequence[str]:
        """Which of the things that `create` makes are there already, each by a name."""

    def remove(self, plan: DatabasePlan, held: Sequence[str], ctx: ActionContext) -> Result:
        """Take away what `create` makes, but for what was `held` before."""


def act_sql(script: str, sql: str, fault: str, ctx: ActionContext) -> Result:
    """Have `script`, the server's client, run the statements, if there are any. Raises
    ActionFailed, which says `fault` and what the server said."""
    if sql and not ctx.check:
        outcome = ctx.act(script, stdin=sql.encode())
        if not outcome.ok:
            raise ActionFailed(f"{fault} on {ctx.host}: {outcome.err.strip()}")
    return Result(changed=bool(sql))
