"""`database_backup`: dumps of the app's databases, checked, with what they are written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import LONG_DEADLINE, Effect, quote
from nbops.base.errors import ActionFailed, DeadlineExceeded, Problem
from nbops.nocobase import releases
from nbops.nocobase.backups import (
    PARTIAL,
    Manifest,
    Part,
    backup_name,
    bytes_of,
    next_order,
    room_for_dump,
)
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.databases.copies import Application, Restore, beside, marked, read_counts, rows
from nbops.nocobase.databases.here import (
    DatabaseHere,
    Seen,
    answer_of,
    asked,
    database_here,
    failed,
    look,
    ready,
)
from nbops.nocobase.databases.watched import room_script
from nbops.nocobase.shelf import manifests_on, sealed
from nbops.runbook.spec import ActionSpec, Args

FACT = "nocobase_backup"
WHAT = "database"
Reason = Literal["manual", "upgrade", "rollback", "restore", "plugin"]


class BackupArgs(Args):
    """The arguments of `database_backup`."""

    reason: Reason = Field(default="manual", description="why; it is part of the backup's name")


class DatabaseBackup:
    """Dumps, checks, and only then gives it a backup's name."""

    spec = ActionSpec(
        name="database_backup",
        args=BackupArgs,
        summary="Back up the app's database, and those of its sub-applications, and check it.",
        example="- database_backup: upgrade\n",
        free_form="reason",
        effect=Effect.FILE,
        check="says whether there is room, and how much would be dumped",
        returns={"backup": "The manifest: name, version, files with sizes and checksums."},
    )

    def run(self, args: BackupArgs, ctx: ActionContext) -> Result:
        """On hosts other than that of the database's tools there is nothing to do. Sets the
        fact `nocobase_backup`."""
        cluster = cluster_of(ctx.vars)
        here = database_here(cluster)
        if ctx.host != here.host.host:
            return Result(skipped=True, msg=f"the tools of the database run on {here.host.host}")
        name = backup_name(str(ctx.vars.get("nbops_run", "")), args.reason)
        earlier = manifests_on(here.shelf, ctx)
        there = next((one for one in earlier if (one.name, one.what) == (name, WHAT)), None)
        if there is not None:
            return _result(there, changed=False)
        here = ready(here, ctx)
        seen = look(here, ctx)
        if not seen.databases:
            raise ActionFailed(f"there is no database {here.name} to back up")
        _check_room(here, room_for_dump(seen.held, earlier), ctx)
        if ctx.check:
            return Result(changed=True, msg=f"{bytes_of(seen.held)} would be dumped")
        manifest = _plan(here, seen, name, args.reason, ctx.vars)
        folder = here.shelf.partial(name, WHAT)
        parts = tuple(_dump(here, seen, one, folder, ctx) for one in seen.databases)
        manifest = replace(manifest, parts=parts, order=next_order(earlier))
        if cluster.part("backup").get("verify") == "restore":
            for part in parts:
                _trial(here, part, folder, ctx)
            manifest = replace(manifest, verified="restore")
        sealed(here.shelf, manifest, ctx)
        return _result(manifest, changed=True, warnings=_not_there(seen))


def _plan(
    here: DatabaseHere, seen: Seen, name: str, reason: str, variables: Mapping[str, Any]
) -> Manifest:
    run = str(variables.get("nbops_run", ""))
    last = releases.newest(
        here.cluster.fact(host, "nocobase_release") for host in here.cluster.members
    )
    return Manifest(
        name=name,
        what=WHAT,
        cluster=here.cluster.name,
        reason=reason,
        run=run,
        who=str(variables.get("nbops_operator", "")),
        when=releases.moment(run),
        host=here.host.host,
        version=seen.inside.version,
        parts=(),
        dialect=here.copies.kind,
        server=seen.server.version,
        tool=seen.server.tool,
        verified="list",
        release=int(last["number"]) if last else None,
    )


def _check_room(here: DatabaseHere, least: int, ctx: ActionContext) -> None:
    """Raises ActionFailed when the disk of the backups has less room than `least` MiB."""
    free = asked(here, ctx, room_script(quote(here.shelf.folder)), lambda out: int(rows(out)[0][1]))
    if free < least:
        raise ActionFailed(
            f"{here.shelf.folder} on {ctx.host} has {free} MiB free, and a backup may need {least}",
            hint="make room there, or set `backup.dir` to a larger disk",
        )


def _dump(
    here: DatabaseHere, seen: Seen, one: Application, folder: str, ctx: ActionContext
) -> Part:
    """One database into one file, read once more from end to end. Nothing is left of a dump
    that failed."""
    held = seen.server.databases[one.database].size
    base = f"application-{one.name}" if one.name else "database"
    file = f"{_plain(base)}.{here.copies.ending(seen.server)}"
    path = f"{folder}/{file}"
    script = f"""\
umask 077
folder={quote(folder)}
mkdir -p "$folder" || exit
trap '[ "$?" = 0 ] || rm -rf "$folder"' EXIT
{_cleaned(here)}
rm -f {quote(path)}
{here.copies.dump_script(here.access, one.database, path, seen.server)}
{summed_script(path)}
{here.copies.check_script(path)}
wait "$summing" || exit
{sizes_script(path)}
"""
    progress = Growth(ctx, f"{one.database}: ", held)
    outcome = ctx.act(script, deadline=LONG_DEADLINE, idle=True, watch=progress.watch)
    if not outcome.ok:
        raise failed(
            f"the backup of the database {one.database} failed on {ctx.host}",
            outcome,
            "nothing is left of it; earlier backups are as they were",
        )
    told = {row[0]: row[1] for row in map(str.split, outcome.out.splitlines()) if len(row) == 2}
    return Part(
        file=file,
        size=int(told["size"]),
        sha256=told["sha256"],
        database=one.database,
        application=one.name,
        tables=int(told["tables"]),
        held=held,
    )


def summed_script(path: str) -> str:
    """Begins to make the checksum of a file, while something else reads it too."""
    return f"sha256sum < {quote(path)} > {quote(f'{path}.sha256')} & summing=$!"


def sizes_script(path: str) -> str:
    """Prints checksum and size of a file, and has it on the disk in earnest."""
    return f"""\
sync {quote(path)} || exit
printf 'sha256 %s\\n' "$(cut -d ' ' -f 1 {quote(f"{path}.sha256")})"
rm -f {quote(f"{path}.sha256")}
printf 'size %s\\n' "$(stat -c %s {quote(path)})"
"""


def _cleaned(here: DatabaseHere) -> str:
    """Removes what runs left that were killed while they wrote."""
    return f"""\
for one in {quote(here.shelf.folder)}/{PARTIAL}*-{WHAT}; do
    [ "$one" = "$folder" ] || rm -rf "$one"
done"""


def _trial(here: DatabaseHere, part: Part, folder: str, ctx: ActionContext) -> None:
    """Restore a dump into a database of its own, count, and remove that database.

    Raises ActionFailed when it cannot be restored, or holds another number of tables.
    """
    run = str(ctx.vars.get("nbops_run", ""))
    trial = beside(part.database, "trial", run)
    restore = Restore(f"{folder}/{part.file}", trial, part.database, here.owner, marked(trial=run))
    ctx.progress(f"{part.database}: trying to restore it")
    tried = ctx.act(
        here.copies.restore_script(here.access, restore), deadline=LONG_DEADLINE, idle=True
    )
    problems: tuple[Problem, ...] = ()
    try:
        if not tried.ok:
            raise failed(f"the backup of {part.database} cannot be restored", tried)
        check_count(here, trial, part, ctx)
    except (ActionFailed, DeadlineExceeded) as error:
        problems = error.problems
    if not ctx.act(here.copies.drop_script(here.access, trial)).ok:
        problems = (*problems, left_over(trial))
    if problems:
        raise ActionFailed.of(problems)


def left_over(database: str) -> Problem:
    """A database that was made for a while and could not be removed again."""
    return Problem(
        f"{database} is left on the server, half done or of no use",
        hint=f"`nbops backups` lists it; the action `database_drop: {database}` removes it",
    )


def check_count(here: DatabaseHere, database: str, part: Part, ctx: ActionContext) -> int:
    """The rows of a restored database: each is counted, which takes a while in a large one.

    Raises ActionFailed when it has another number of tables than the dump.
    """
    script = here.copies.count_script(here.access, database)
    counted = ctx.probe(script, deadline=LONG_DEADLINE)
    tables, found = answer_of(here, ctx.host, counted, read_counts)
    if tables != part.tables:
        raise ActionFailed(
            f"the restored {part.database} has {tables} tables, its backup has {part.tables}"
        )
    return found


class Growth:
    """Says how large a dump is by now, from the lines `at BYTES`."""

    def __init__(self, ctx: ActionContext, before: str, held: int) -> None:
        self._ctx = ctx
        self._before = before
        self._held = held
        self._rest = b""

    def watch(self, output: bytes) -> None:
        """Take some more output."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        sizes = [line[3:] for line in lines if line.startswith(b"at ") and line[3:].isdigit()]
        if sizes:
            size, held = bytes_of(int(sizes[-1])), bytes_of(self._held)
            self._ctx.progress(f"{self._before}{size} written, of {held} on the server")


def _plain(name: str) -> str:
    """A sub-application's name as a part of a file's name."""
    return "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in name)


def _not_there(seen: Seen) -> tuple[str, ...]:
    if not seen.absent:
        return ()
    return (f"these sub-applications have no database: {', '.join(seen.absent)}",)


def _result(manifest: Manifest, *, changed: bool, warnings: tuple[str, ...] = ()) -> Result:
    facts = manifest.facts()
    return Result(changed=changed, values={"backup": facts}, facts={FACT: facts}, warnings=warnings)
