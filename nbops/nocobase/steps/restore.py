"""`database_restore`: a backup's databases, restored beside the present ones and checked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import LONG_DEADLINE, Outcome, quote
from nbops.base.errors import ActionFailed, DeadlineExceeded, RefusedError
from nbops.nocobase.backups import Manifest, Part, is_name, room_for_restore
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.databases.copies import (
    Inside,
    Restore,
    Swap,
    beside,
    marked,
    read_differences,
    read_inside,
)
from nbops.nocobase.databases.here import (
    DatabaseHere,
    Seen,
    asked,
    database_here,
    failed,
    look,
    opened,
    ready,
)
from nbops.nocobase.shelf import manifest_of
from nbops.nocobase.steps.backup import WHAT, check_count, left_over
from nbops.runbook.spec import ActionSpec, Args

FACT = "nocobase_restored"
# Extensions can be more in a database that was upgraded meanwhile; all else must be equal.
_MAY_DIFFER = frozenset({"extensions"})


class BackupArgs(Args):
    """The arguments of `database_restore` and `database_swap`."""

    backup: str = Field(description="the name of the backup, as `nbops backups` lists it")


class RestoreArgs(BackupArgs):
    """The arguments of `database_restore`."""

    version: str | None = Field(
        default=None, description="refuse a backup of another version of the app than this"
    )


class DatabaseRestore:
    """Restores into new databases; the present ones are not touched."""

    spec = ActionSpec(
        name="database_restore",
        args=RestoreArgs,
        summary="Restore a backup into new databases beside the present ones, and check them.",
        example='- database_restore: "{{ nocobase_backup.name }}"\n',
        free_form="backup",
        check="says whether it could be restored",
        returns={
            "restored": "The present, the new and the kept name of each database.",
            "version": "The app's version that the backup is of.",
        },
    )

    def run(self, args: RestoreArgs, ctx: ActionContext) -> Result:
        """What is restored already, and noted as whole, is left as it is. A new database that
        is not whole is removed again when this fails."""
        cluster = cluster_of(ctx.vars)
        here = database_here(cluster)
        if ctx.host != here.host.host:
            return Result(skipped=True, msg=f"the tools of the database run on {here.host.host}")
        manifest = backup_of(here, args.backup, ctx)
        check_version(manifest, args.version)
        here = ready(here, ctx)
        opened(here, ctx)
        seen = look(here, ctx)
        run = str(ctx.vars.get("nbops_run", ""))
        swaps = swaps_of(here, seen, manifest, run)
        todo = [
            (swap, part)
            for swap, part in zip(swaps, manifest.parts, strict=True)
            if not (
                is_whole(seen, swap.new, manifest, run) or is_whole(seen, swap.live, manifest, run)
            )
        ]
        if todo:
            check_possible(here, seen, manifest, ctx)
        warnings: list[str] = []
        if not ctx.check:
            for swap, part in todo:
                held = seen.server.databases.get(swap.live)
                owner = (held and held.owner) or here.owner
                warnings += _restore(replace(here, owner=owner), manifest, part, swap, ctx)
        names = [{"live": swap.live, "new": swap.new, "kept": swap.kept} for swap in swaps]
        return Result(
            changed=bool(todo),
            values={"restored": names, "version": manifest.version},
            facts={FACT: {"backup": manifest.name, "databases": names}},
            warnings=tuple(warnings),
        )


def backup_of(here: DatabaseHere, name: str, ctx: ActionContext) -> Manifest:
    """The manifest of a backup by its name.

    Raises RefusedError when there is none, or when it is of another kind of database.
    """
    if not is_name(name):
        raise RefusedError(f"`{name}` cannot be the name of a backup", hint="see `nbops backups`")
    found = manifest_of(here.shelf, name, WHAT, ctx)
    if found is None:
        raise RefusedError(
            f"there is no backup `{name}` of the database on {ctx.host}",
            hint="`nbops backups` lists them; where HOLDS names no database, its dump was removed"
            " by `backup.keep`",
        )
    if found.dialect != here.copies.kind:
        raise RefusedError(
            f"the backup {name} is of {found.dialect}, the cluster's database is {here.copies.kind}"
        )
    return found


def check_version(manifest: Manifest, version: str | None) -> None:
    """Raises RefusedError for a backup of another version than the one that is wanted; one
    that does not tell is taken."""
    if version and manifest.version and manifest.version != version.removesuffix("-full"):
        raise RefusedError(
            f"the backup {manifest.name} is of version {manifest.version}, and {version} runs",
            hint="`nbops rollback` brings back both",
        )


def swaps_of(here: DatabaseHere, seen: Seen, manifest: Manifest, run: str) -> list[Swap]:
    """The three names of every database of a backup, in its order. In one run always the
    same."""
    present = {one.name: one.database for one in seen.databases}
    swaps = []
    for part in manifest.parts:
        live = present.get(part.application, part.database) if part.application else here.name
        base = live if part.application else here.origin
        swaps.append(
            Swap(
                live=live,
                new=beside(base, "new", run),
                kept=beside(base, "kept", run),
                application=part.application,
                note=marked(kept=live, run=run),
            )
        )
    return swaps


def mark_of(manifest: Manifest, swap: Swap, run: str) -> str:
    """What is noted on a database that is restored and whole."""
    return marked(backup=manifest.name, new=swap.live, run=run, version=manifest.version)


def is_whole(seen: Seen, database: str, manifest: Manifest, run: str) -> bool:
    """Whether a database is this backup, restored whole in this run."""
    held = seen.server.databases.get(database)
    mark = held.mark if held else {}
    return (mark.get("backup"), mark.get("run")) == (manifest.name, run)


def check_possible(here: DatabaseHere, seen: Seen, manifest: Manifest, ctx: ActionContext) -> None:
    """Raises ActionFailed, before anything is done, when the restore cannot go well: tables on
    other servers, a missing right, too little room, a file that is not what it was."""
    foreign = foreign_tables(here, seen, ctx)
    if foreign:
        raise ActionFailed(
            f"the database has tables that are kept on other servers: {', '.join(foreign)}",
            hint="a restore would not bring back what is in them: do it by hand",
        )
    right = missing_right(here, seen)
    if right:
        raise ActionFailed(
            f"the user {here.owner} may not create databases on {here.access.host}",
            hint=f"as its superuser: {right}",
        )
    least = room_for_restore(sum(part.held for part in manifest.parts))
    if seen.server.free is not None and seen.server.free < least:
        raise ActionFailed(
            f"the database server has {seen.server.free} MiB free, a second copy needs {least}",
            hint="make room there, or remove kept databases (`nbops backups` lists them)",
        )
    folder = here.shelf.of(manifest.name, WHAT)
    lines = "".join(f"{part.sha256}  {part.file}\n" for part in manifest.parts)
    checked = ctx.probe(
        f"cd {quote(folder)} && printf %s {quote(lines)} | sha256sum --check --quiet",
        deadline=LONG_DEADLINE,
    )
    if not checked.ok:
        raise ActionFailed(
            f"the backup {manifest.name} is not what it was when it was made: {_said(checked)}",
            hint="take another backup (`nbops backups`)",
        )


def missing_right(here: DatabaseHere, seen: Seen) -> str:
    """What gives the user the right to make what a restore makes; empty when it has it."""
    if seen.server.may_create(beside(here.origin, "new", _SOME_RUN)):
        return ""
    return here.copies.right_to_create(here.owner, here.origin)


def foreign_tables(here: DatabaseHere, seen: Seen, ctx: ActionContext) -> list[str]:
    """The tables of all the app's databases that are kept on other servers."""
    found = list(seen.inside.foreign)
    for name, inside in _others(here, seen, ctx).items():
        found += [f"{name}: {table}" for table in inside.foreign]
    return found


def extensions_beyond(here: DatabaseHere, seen: Seen, ctx: ActionContext) -> list[str]:
    """The extensions of all the app's databases that its user could not make anew."""
    found = list(seen.inside.beyond)
    for name, inside in _others(here, seen, ctx).items():
        found += [f"{one} (in {name})" for one in inside.beyond]
    return found


def _others(here: DatabaseHere, seen: Seen, ctx: ActionContext) -> dict[str, Inside]:
    """What stands in the databases of the sub-applications."""
    read = partial(read_inside, layout=here.layout)
    inside_script = partial(here.copies.inside_script, here.access, layout=here.layout)
    return {
        one.database: asked(here, ctx, inside_script(one.database), read)
        for one in seen.databases[1:]
    }


def _restore(
    here: DatabaseHere, manifest: Manifest, part: Part, swap: Swap, ctx: ActionContext
) -> list[str]:
    """One database; gives warnings. It bears its note only when it is whole and checked."""
    run = str(ctx.vars.get("nbops_run", ""))
    copies, access = here.copies, here.access
    path = f"{here.shelf.of(manifest.name, WHAT)}/{part.file}"
    restore = Restore(path, swap.new, swap.live, here.owner, marked(new=swap.live, run=run), _JOBS)
    progress = Tables(ctx, f"{swap.new}: ", part.tables)
    try:
        done = ctx.act(
            copies.restore_script(access, restore),
            deadline=LONG_DEADLINE,
            idle=True,
            watch=progress.watch,
        )
        if not done.ok:
            raise failed(f"the backup {manifest.name} cannot be restored", done)
        rows = check_count(here, swap.new, part, ctx)
        ctx.progress(f"{swap.new}: {part.tables} tables with {rows} rows")
        warnings = _likeness(here, swap, ctx)
        noted = ctx.act(copies.note_script(access, swap.new, mark_of(manifest, swap, run)))
        if not noted.ok:
            raise failed(f"cannot note on {swap.new} that it is whole", noted)
    except (ActionFailed, DeadlineExceeded) as error:
        gone = ctx.act(copies.drop_script(access, swap.new))
        if not gone.ok:
            raise ActionFailed.of((*error.problems, left_over(swap.new))) from error
        raise
    return warnings


_JOBS = 4
_SOME_RUN = "20261123T084733Z-1a2b3c"


def _likeness(here: DatabaseHere, swap: Swap, ctx: ActionContext) -> list[str]:
    """Raises ActionFailed when the new database differs from the present one in what the dump
    does not hold: owner, locale, rights, settings."""
    if (
        swap.live
        not in asked(
            here, ctx, here.copies.server_script(here.access), here.copies.read_server
        ).databases
    ):
        return []
    script = here.copies.likeness_script(here.access, swap.live, swap.new)
    told = [
        (what, f"{what}: {old or 'none'} in {swap.live}, {new or 'none'} in {swap.new}")
        for what, old, new in asked(here, ctx, script, read_differences)
    ]
    wrong = [text for what, text in told if what not in _MAY_DIFFER]
    if wrong:
        raise ActionFailed(f"the restored database is not like the present one: {'; '.join(wrong)}")
    return [text for _, text in told]


class Tables:
    """Says how many tables are restored, from what the tool tells of each."""

    def __init__(self, ctx: ActionContext, before: str, tables: int) -> None:
        self._ctx = ctx
        self._before = before
        self._tables = tables
        self._done = 0

    def watch(self, output: bytes) -> None:
        """Take some more output."""
        more = output.count(b"processing data for table")
        if more:
            self._done += more
            self._ctx.progress(f"{self._before}{self._done} of {self._tables} tables")


def _said(outcome: Outcome) -> str:
    lines = (outcome.out + outcome.err).strip().splitlines()
    return lines[0] if lines else f"status {outcome.status}"
