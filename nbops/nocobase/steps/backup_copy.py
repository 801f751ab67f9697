"""`backup_fetch` and `backup_store`: copies of a backup on other hosts (`backup.copy_to`).

Hosts do not trust each other, so a copy goes by this computer: fetched in pieces into a folder
of the run (0700), sent on, checked there, and removed here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import LONG_DEADLINE, Effect, quote
from nbops.base.errors import ActionFailed
from nbops.journal.store import journal_path
from nbops.nocobase.backups import MANIFEST, Manifest, Part, Shelf, bytes_of, read_manifest
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.shelf import manifests_on, sealed, shelf_of
from nbops.runbook.spec import ActionSpec, Args, NoArgs

_PIECE = 16 << 20


class FetchArgs(Args):
    """The arguments of `backup_fetch`."""

    state: Literal["present", "absent"] = Field(
        default="present", description="`absent` removes from this computer what was fetched"
    )


class BackupFetch:
    """Brings the run's backup from its host to this computer."""

    spec = ActionSpec(
        name="backup_fetch",
        args=FetchArgs,
        summary="Fetch what this run backed up on the host, for hosts that get a copy.",
        example="- backup_fetch: present\n",
        free_form="state",
        effect=Effect.NONE,
        check="skipped",
    )

    def run(self, args: FetchArgs, ctx: ActionContext) -> Result:
        """Changes nothing on the host. A piece that came already is not fetched again."""
        cluster = cluster_of(ctx.vars)
        run = str(ctx.vars.get("nbops_run", ""))
        if ctx.check or not cluster.part("backup").get("copy_to"):
            return Result(skipped=True, msg="no other host gets a copy")
        if args.state == "absent":
            _removed(spool(run))
            return Result()
        shelf = shelf_of(cluster)
        for manifest in _of_run(manifests_on(shelf, ctx), run, ctx.host):
            folder = spool(run) / f"{ctx.host}-{manifest.name}-{manifest.what}"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in manifest.parts:
                _fetch(shelf.of(manifest.name, manifest.what), part, folder, ctx)
            (folder / MANIFEST).write_text(manifest.text(), encoding="utf-8")
        return Result()


class BackupStore:
    """Puts what was fetched on one more host."""

    spec = ActionSpec(
        name="backup_store",
        args=NoArgs,
        summary="Put a copy of this run's backup on the host, and check it there.",
        example="- backup_store:\n  when: inventory_hostname in nocobase.backup.copy_to\n",
        effect=Effect.FILE,
        check="skipped",
        returns={"stored": "The names of the backups that were copied."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """A copy that is there is left as it is; it bears its name only when it is checked."""
        if ctx.check:
            return Result(skipped=True, msg="nothing was fetched")
        cluster = cluster_of(ctx.vars)
        shelf = shelf_of(cluster)
        there = {(one.name, one.what) for one in manifests_on(shelf, ctx)}
        stored = []
        for folder in sorted(spool(str(ctx.vars.get("nbops_run", ""))).glob("*/")):
            manifest = read_manifest((folder / MANIFEST).read_text(encoding="utf-8"))
            if (manifest.name, manifest.what) not in there:
                _store(shelf, manifest, folder, ctx)
                stored.append(manifest.name)
        return Result(changed=bool(stored), values={"stored": stored})


def spool(run: str) -> Path:
    """The folder on this computer through which a run's copies go."""
    return journal_path().parent / "copies" / run


def _removed(folder: Path) -> None:
    """Raises ActionFailed when something of it stays on this computer."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ActionFailed(
            f"{folder} on this computer cannot be removed: {error.strerror}",
            hint="a copy of the database is in it: remove it by hand",
        ) from error


def _of_run(manifests: list[Manifest], run: str, host: str) -> list[Manifest]:
    return [one for one in manifests if (one.run, one.host) == (run, host)]


def _fetch(there: str, part: Part, folder: Path, ctx: ActionContext) -> None:
    """One file, in pieces. Raises ActionFailed when it is not what the manifest says."""
    path = f"{there}/{part.file}"
    local = folder / part.file
    digest = hashlib.sha256()
    descriptor = os.open(local, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for number in range(-(-part.size // _PIECE)):
            ctx.stop.check()
            piece = ctx.probe(
                f"dd if={quote(path)} bs={_PIECE} skip={number} count=1 status=none",
                deadline=LONG_DEADLINE,
            )
            if not piece.ok:
                raise ActionFailed(f"cannot read {path} on {ctx.host}: {piece.err.strip()}")
            digest.update(piece.stdout)
            file.write(piece.stdout)
            ctx.progress(f"{bytes_of(file.tell())} of {bytes_of(part.size)} fetched")
    if digest.hexdigest() != part.sha256:
        raise ActionFailed(f"{path} on {ctx.host} is not what it was when it was made")


def _store(shelf: Shelf, manifest: Manifest, folder: Path, ctx: ActionContext) -> None:
    """Raises ActionFailed when there is no room, or what came is not what was sent."""
    partial = shelf.partial(manifest.name, manifest.what)
    moves, sums = [], []
    for part in manifest.parts:
        staged = ctx.stage(folder / part.file)
        moves.append(f"install -m 600 {quote(staged)} {quote(f'{partial}/{part.file}')} || exit")
        sums.append(f"{part.sha256}  {part.file}\n")
    script = f"""\
umask 077
folder={quote(partial)}
mkdir -p "$folder" || exit
trap '[ "$?" = 0 ] || rm -rf "$folder"' EXIT
{chr(10).join(moves)}
cd "$folder" && printf %s {quote("".join(sums))} | sha256sum --check --quiet >&2 && sync ./*
"""
    outcome = ctx.act(script, deadline=LONG_DEADLINE)
    if not outcome.ok:
        raise ActionFailed(
            f"the backup {manifest.name} cannot be copied to {ctx.host}: {outcome.err.strip()}"
        )
    sealed(shelf, manifest, ctx)
