"""`database_swap`: the restored databases take the place of the present ones, or give it
back. And what becomes of those that were replaced: `database_kept`, `database_drop`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.base.errors import ActionFailed, RefusedError
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.databases.copies import Swap
from nbops.nocobase.databases.here import (
    IN_USE,
    DatabaseHere,
    Seen,
    database_here,
    failed,
    in_use,
    kept_in,
    look,
    opened,
    ready,
)
from nbops.nocobase.steps.restore import BackupArgs, backup_of, is_whole, swaps_of
from nbops.runbook.spec import ActionSpec, Args, NoArgs


class SwapArgs(BackupArgs):
    """The arguments of `database_swap`."""

    state: Literal["swapped", "back"] = Field(
        default="swapped", description="`back` undoes it: the replaced databases return"
    )


class DatabaseSwap:
    """Swaps names; both databases stay."""

    spec = ActionSpec(
        name="database_swap",
        args=SwapArgs,
        summary="Put the restored databases in the place of the present ones, which are kept.",
        example='- database_swap:\n    backup: "{{ nocobase_backup.name }}"\n',
        free_form="backup",
        check="says what would be swapped",
        returns={
            "database": "The database that the app uses now (DB_DATABASE).",
            "kept": "The names of the databases that were replaced.",
        },
    )

    def run(self, args: SwapArgs, ctx: ActionContext) -> Result:
        """Asks first whether it happened. Where a kind cannot rename, the app must be told the
        new name: the fact `nocobase_database` holds it on this host."""
        here = database_here(cluster_of(ctx.vars))
        if ctx.host != here.host.host:
            return Result(skipped=True, msg=f"the tools of the database run on {here.host.host}")
        manifest = backup_of(here, args.backup, ctx)
        here = ready(here, ctx)
        opened(here, ctx)
        seen = look(here, ctx)
        run = str(ctx.vars.get("nbops_run", ""))
        before = in_use(here.cluster, told_now=False)
        swaps = swaps_of(here, seen, manifest, run)
        if args.state == "back":
            return self._back(here, seen, swaps, before, ctx)
        if here.copies.renames:
            done = all(is_whole(seen, swap.live, manifest, run) for swap in swaps)
        else:
            done = here.name == swaps[0].new
        missing = [] if done else [s.new for s in swaps if not is_whole(seen, s.new, manifest, run)]
        if missing and not ctx.check and here.copies.kind != "mysql":
            raise ActionFailed(
                f"{', '.join(missing)} is not restored whole in this run: nothing is swapped",
                hint="`database_restore` comes first",
            )
        if not done and not ctx.check:
            self._swap(here, swaps, ctx)
        return _result(here, swaps, changed=not done)

    def _swap(self, here: DatabaseHere, swaps: list[Swap], ctx: ActionContext) -> None:
        outcome = ctx.act(here.copies.swap_script(here.access, swaps, here.layout))
        if not outcome.ok:
            raise failed(
                f"the databases cannot be swapped on {ctx.host}",
                outcome,
                "the next try goes on from there, and lets connections in again first",
            )

    def _back(
        self, here: DatabaseHere, seen: Seen, swaps: list[Swap], before: str, ctx: ActionContext
    ) -> Result:
        swapped = [swap for swap in swaps if swap.kept in seen.server.databases]
        if here.copies.renames and swapped and not ctx.check:
            outcome = ctx.act(here.copies.back_script(here.access, swapped))
            if not outcome.ok:
                raise failed(f"the databases cannot be put back on {ctx.host}", outcome)
        return Result(
            changed=bool(swapped) or here.name != before,
            values={"database": before, "kept": []},
            facts={IN_USE: before},
        )


def _result(here: DatabaseHere, swaps: list[Swap], *, changed: bool) -> Result:
    app = next(swap for swap in swaps if not swap.application)
    now = app.live if here.copies.renames else app.new
    kept = [swap.kept if here.copies.renames else swap.live for swap in swaps]
    return Result(changed=changed, values={"database": now, "kept": kept}, facts={IN_USE: now})


class DatabaseOpen:
    """Ends what a swap began that was cut short."""

    spec = ActionSpec(
        name="database_open",
        args=NoArgs,
        summary="Let connections into the app's databases again, where a swap that was cut short"
        " still keeps them out.",
        example="- database_open:\n",
        returns={"opened": "The names of the databases that were closed."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Databases that somebody else closed stay closed."""
        here = database_here(cluster_of(ctx.vars))
        if ctx.host != here.host.host:
            return Result(skipped=True, msg=f"the tools of the database run on {here.host.host}")
        names = opened(ready(here, ctx), ctx)
        return Result(changed=bool(names), values={"opened": names})


class DatabaseKept:
    """Lists what restores left beside the app's databases."""

    spec = ActionSpec(
        name="database_kept",
        args=NoArgs,
        summary="List the databases that restores replaced and kept.",
        example="- database_kept:\n",
        effect=Effect.NONE,
        returns={"kept": "Name, size and note of each."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Looks only."""
        here = database_here(cluster_of(ctx.vars))
        if ctx.host != here.host.host:
            return Result(skipped=True, msg=f"the tools of the database run on {here.host.host}")
        seen = look(ready(here, ctx), ctx)
        kept = [
            {"name": one.name, "size": one.size, "run": str(one.mark.get("run", ""))}
            for one in kept_in(seen)
        ]
        return Result(values={"kept": kept})


class DropArgs(Args):
    """The arguments of `database_drop`."""

    name: str = Field(description="the kept database")


class DatabaseDrop:
    """Removes a database that a restore kept."""

    spec = ActionSpec(
        name="database_drop",
        args=DropArgs,
        summary="Remove a database that a restore replaced and kept.",
        example="- database_drop: nocobase_kept_20261123084733_1a2b3c\n",
        free_form="name",
    )

    def run(self, args: DropArgs, ctx: ActionContext) -> Result:
        """Only what nbops noted as kept can be removed, and never what the app uses."""
        here = database_here(cluster_of(ctx.vars))
        if ctx.host != here.host.host:
            return Result(skipped=True, msg=f"the tools of the database run on {here.host.host}")
        here = ready(here, ctx)
        seen = look(here, ctx)
        held = seen.server.databases.get(args.name)
        if held is None:
            return Result()
        if held not in kept_in(seen) or held.name == in_use(here.cluster, told_now=False):
            raise RefusedError(
                f"{args.name} is no database that a restore kept", hint="see `nbops backups`"
            )
        if not ctx.check:
            outcome = ctx.act(here.copies.drop_script(here.access, held.name))
            if not outcome.ok:
                raise failed(f"cannot remove {held.name}", outcome)
        return Result(changed=True)
