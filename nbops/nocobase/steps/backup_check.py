"""`database_check`: whether a backup can be made and restored, before anybody has to wait."""

from __future__ import annotations

from collections.abc import Callable

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect, quote
from nbops.base.errors import ActionFailed
from nbops.nocobase.backups import bytes_of, room_for_dump, room_for_restore
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.databases.copies import rows
from nbops.nocobase.databases.here import DatabaseHere, Seen, asked, database_here, look, ready
from nbops.nocobase.databases.watched import room_script
from nbops.nocobase.shelf import manifests_on
from nbops.nocobase.steps.restore import extensions_beyond, foreign_tables, missing_right
from nbops.runbook.spec import ActionSpec, NoArgs


class DatabaseCheck:
    """Tools, rights, room on both disks, tables that no backup brings back."""

    spec = ActionSpec(
        name="database_check",
        args=NoArgs,
        summary="Find everything that could stop a backup of the database, or its restore.",
        example="- database_check:\n",
        effect=Effect.NONE,
        returns={
            "findings": "What was found, one text for each.",
            "size": "Bytes that the app's databases take on the server.",
            "version": "The app's version that last upgraded the database.",
        },
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Looks only, and tells all at once. Skipped on hosts without the database's tools."""
        here = database_here(cluster_of(ctx.vars))
        if ctx.host != here.host.host:
            return Result(skipped=True, msg=f"the tools of the database run on {here.host.host}")
        try:
            here = ready(here, ctx)
            seen = look(here, ctx)
        except ActionFailed as error:
            return _result([_with_hint(error)], Seen.nothing())
        found = [text for find in _FINDS for text in find(here, seen, ctx)]
        return _result(found, seen)


def _with_hint(error: ActionFailed) -> str:
    hint = error.problems[0].hint
    return f"{error}: {hint}" if hint else str(error)


def _room(here: DatabaseHere, seen: Seen, ctx: ActionContext) -> list[str]:
    found = []
    least = room_for_dump(seen.held, manifests_on(here.shelf, ctx))
    free = asked(here, ctx, room_script(quote(here.shelf.folder)), lambda out: int(rows(out)[0][1]))
    if free < least:
        found.append(
            f"{here.shelf.folder} has {free} MiB free, and a backup of {bytes_of(seen.held)} may"
            f" need {least}: make room there, or set `backup.dir` to a larger disk"
        )
    least = room_for_restore(seen.held)
    if seen.server.free is not None and seen.server.free < least:
        found.append(
            f"the database server has {seen.server.free} MiB free, and a rollback restores a second"
            f" copy, which needs {least}: make room there, or remove kept databases"
        )
    return found


def _foreign(here: DatabaseHere, seen: Seen, ctx: ActionContext) -> list[str]:
    tables = foreign_tables(here, seen, ctx)
    if not tables:
        return []
    return [
        f"tables are kept on other servers ({', '.join(tables)}): a rollback would not bring back"
        " what is in them; take them out of the app's database"
    ]


def _rights(here: DatabaseHere, seen: Seen, _ctx: ActionContext) -> list[str]:
    right = missing_right(here, seen)
    if not right:
        return []
    return [
        f"the user {here.owner} may not create databases, which a rollback must: as the server's"
        f" superuser say {right}"
    ]


def _extensions(here: DatabaseHere, seen: Seen, ctx: ActionContext) -> list[str]:
    # Some services let more be made than PostgreSQL's own rules say: a trial restore tells.
    if here.cluster.part("backup").get("verify") == "restore":
        return []
    beyond = extensions_beyond(here, seen, ctx)
    if not beyond:
        return []
    return [
        f"only a superuser can make the extensions that the database has ({', '.join(beyond)}), so"
        f" a rollback by {here.owner} may fail: drop those that the app does not use, or set"
        " `backup.verify: restore`, and each backup is restored for trial before anything changes"
    ]


_FINDS: tuple[Callable[[DatabaseHere, Seen, ActionContext], list[str]], ...] = (
    _room,
    _foreign,
    _rights,
    _extensions,
)


def _result(found: list[str], seen: Seen) -> Result:
    return Result(
        failed=bool(found),
        msg="\n".join(["the database is not ready:", *(f"  - {one}" for one in found)])
        if found
        else "",
        values={"findings": found, "size": seen.held, "version": seen.inside.version},
    )
