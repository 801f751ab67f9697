"""A balancer that nbops does not configure: the user's own commands, run on this computer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from nbops.actions.api import ActionContext
from nbops.base.command import join
from nbops.base.errors import ActionFailed
from nbops.base.secret import ending
from nbops.nocobase.balancers.api import BalancerPlan, BalancerState, Change
from nbops.nocobase.balancers.ask import Door, Mode, look_script, read_look

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_DEADLINE = 120.0


class External:
    """The balancer `external`. Its actions are delegated to localhost.

    The commands find in their environment: NBOPS_CLUSTER; NBOPS_NODES, the addresses with port
    of all that get requests, and NBOPS_HOSTS, their names; for `drain` also NBOPS_NODE (the
    addresses of one host's apps) and NBOPS_HOST. They are run in the inventory's folder, may be
    run again, and are ended at their deadline.
    """

    kind = "external"
    programs: Sequence[str] = ("curl",)

    def look(self, plan: BalancerPlan, ctx: ActionContext) -> BalancerState:
        """Only its answer tells; which nodes it sends requests to is not known."""
        _only_here(ctx)
        door = Door("the balancer", plan.address.rstrip("/"))
        (said,) = read_look(ctx.probe(look_script([door])).out, 1)
        return BalancerState(
            running=bool(said.status),
            maintenance=said.fits(Mode.MAINTENANCE),
            details={"answer": str(said)},
        )

    def configure(self, plan: BalancerPlan, ctx: ActionContext) -> Change:
        """`traffic`, unless the 503 page stands: that command would end it."""
        before = self.look(plan, ctx)
        if ctx.check or before.maintenance:
            return Change()
        if plan.drained and _commands(ctx).get("drain"):
            for host in sorted(plan.drained):
                self._run(plan, ctx, "drain", host)
        else:
            self._run(plan, ctx, "traffic")
        return Change(str(self.look(plan, ctx)) != str(before))

    def switch(self, plan: BalancerPlan, ctx: ActionContext, *, on: bool) -> Change:
        """The command is run whatever the address answers: a 503 may have other reasons."""
        before = self.look(plan, ctx)
        if not ctx.check:
            self._run(plan, ctx, "maintenance" if on else "traffic")
        return Change(before.maintenance is not on)

    def settle(self, plan: BalancerPlan, ctx: ActionContext) -> None:
        """Nothing: the command returns when it has done its work."""

    def _run(self, plan: BalancerPlan, ctx: ActionContext, name: str, host: str = "") -> None:
        commands = _commands(ctx)
        seconds = float(commands.get("deadline") or _DEADLINE)
        ctx.progress(f"running the command `{name}`")
        outcome = ctx.act(
            join(words(commands[name])),
            env=environment(plan, host),
            cwd=str(ctx.vars["inventory_dir"]),
            deadline=seconds,
        )
        if not outcome.ok:
            said = "\n".join(part for part in (outcome.out.strip(), outcome.err.strip()) if part)
            raise ActionFailed(
                f"balancer.commands.{name} ended with status {outcome.status}"
                + (f":\n{ending(said, 2000)}" if said else ", and said nothing"),
                hint="run it by hand from the inventory's folder",
            )


def environment(plan: BalancerPlan, host: str = "") -> dict[str, str]:
    """What a command learns; addresses and names are separated by spaces."""
    live = plan.live
    names = dict.fromkeys(node.host for node in live)
    told = {
        "NBOPS_CLUSTER": plan.cluster,
        "NBOPS_NODES": " ".join(node.place for node in live),
        "NBOPS_HOSTS": " ".join(names),
    }
    if host:
        told["NBOPS_HOST"] = host
        told["NBOPS_NODE"] = " ".join(node.place for node in plan.nodes if node.host == host)
    return told


def words(command: str | Sequence[str]) -> list[str]:
    """A command as a list: as it is, or a text split at spaces, quotes heeded. No shell."""
    return shlex.split(command) if isinstance(command, str) else [str(word) for word in command]


def _commands(ctx: ActionContext) -> Mapping[str, Any]:
    found: Mapping[str, Any] = ctx.vars["nocobase"]["balancer"].get("commands") or {}
    return found


def _only_here(ctx: ActionContext) -> None:
    if ctx.host not in _LOCAL:
        raise ActionFailed(
            f"`balancer: {{kind: external}}` is commanded from this computer, not from {ctx.host}",
            hint="the task needs `delegate_to: localhost` and `become: false`",
        )
