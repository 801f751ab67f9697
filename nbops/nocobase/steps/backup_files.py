"""`nocobase_backup_files`: what a node needs besides the database. `backup_prune`: old ones go."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import LONG_DEADLINE, Effect, quote
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from nbops.nocobase import releases
from nbops.nocobase.backups import (
    PARTIAL,
    Manifest,
    Part,
    Shelf,
    backup_name,
    bytes_of,
    next_order,
    superfluous,
)
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.databases.copies import read_numbers
from nbops.nocobase.databases.watched import (
    pack,
    packed_ending,
    packer_script,
    room_script,
    watched,
)
from nbops.nocobase.plans import Here, here
from nbops.nocobase.shelf import manifests_on, sealed, shelf_of
from nbops.nocobase.steps.backup import BackupArgs, Growth, sizes_script, summed_script
from nbops.runbook.spec import ActionSpec, Args

WHAT = "files"
REDIS_DATA = "var/lib/redis"
_LEAST_ROOM = 64


class BackupFiles:
    """Settings, plugin packages and, when `backup.storage` says so, all of the storage."""

    spec = ActionSpec(
        name="nocobase_backup_files",
        args=BackupArgs,
        summary="Back up the node's settings and plugin packages, and its files when asked.",
        example="- nocobase_backup_files: upgrade\n",
        free_form="reason",
        effect=Effect.FILE,
        check="says how much would be kept",
        returns={"backup": "The manifest: name, version, files with sizes and checksums."},
    )

    def run(self, args: BackupArgs, ctx: ActionContext) -> Result:
        """Files that all nodes share are kept once, by the first node. Files with secrets are
        not copied: the release that the manifest names has them."""
        node = here(ctx.vars)
        return _keep(ctx, node.cluster, WHAT, args.reason, _wanted(node))


class RedisBackup:
    """What Redis holds: above all the queue."""

    spec = ActionSpec(
        name="redis_backup",
        args=BackupArgs,
        summary="Keep what Redis holds with the backup, where nbops runs it and it is stopped.",
        example="- redis_backup: upgrade\n",
        free_form="reason",
        effect=Effect.FILE,
        check="says how much would be kept",
        returns={"backup": "The manifest: name, version, files with sizes and checksums."},
    )

    def run(self, args: BackupArgs, ctx: ActionContext) -> Result:
        """Its files on the disk: whole once it is stopped."""
        cluster = cluster_of(ctx.vars)
        if not cluster.part("redis").get("managed"):
            return Result(skipped=True, msg="Redis is not run by nbops")
        return _keep(ctx, cluster, "redis", args.reason, [REDIS_DATA])


def _keep(
    ctx: ActionContext, cluster: Cluster, what: str, reason: str, wanted: Sequence[str]
) -> Result:
    """Pack what is there of `wanted` into the backup of this run and reason, once."""
    shelf = shelf_of(cluster)
    name = backup_name(str(ctx.vars.get("nbops_run", "")), reason)
    known = manifests_on(shelf, ctx)
    there = next((one for one in known if (one.name, one.what) == (name, what)), None)
    if there is not None:
        return Result(values={"backup": there.facts()})
    size, packer = _look(shelf, wanted, ctx)
    if ctx.check:
        return Result(changed=True, msg=f"{bytes_of(size)} would be kept")
    file = f"{what}.tar.{packed_ending(packer)}"
    folder = shelf.partial(name, what)
    part = _archive(ctx, archive_script(folder, file, wanted, packer), file, size)
    run = str(ctx.vars.get("nbops_run", ""))
    record = cluster.fact(cluster.me.host, "nocobase_release") or {}
    manifest = Manifest(
        name=name,
        what=what,
        cluster=cluster.name,
        reason=reason,
        run=run,
        who=str(ctx.vars.get("nbops_operator", "")),
        when=releases.moment(run),
        host=ctx.host,
        version=str(record.get("version") or cluster.version),
        parts=(part,),
        verified="list",
        release=int(record["number"]) if record else None,
        order=next_order(known),
    )
    sealed(shelf, manifest, ctx)
    return Result(changed=True, values={"backup": manifest.facts()})


def _wanted(node: Here) -> list[str]:
    """The paths that belong to a node's backup, without their first slash."""
    plan = node.plan
    files = [file for one in node.plans for file in node.runtime.files(one)]
    paths = [file.path for file in files if not isinstance(file.content, Secret)]
    if not node.shared_storage or node.cluster.me.host == node.cluster.nodes[0].host:
        whole = node.cluster.part("backup").get("storage")
        paths.append(plan.storage if whole else plugins_folder(plan.storage))
    return [path.lstrip("/") for path in dict.fromkeys(paths)]


def plugins_folder(storage: str) -> str:
    """Where the app keeps plugin packages that were added to it."""
    return f"{storage}/plugins"


def _look(shelf: Shelf, wanted: Sequence[str], ctx: ActionContext) -> tuple[int, str]:
    """How many bytes there are to keep, and what packs them.

    Raises ActionFailed when there is no room for them.
    """
    names = " ".join(map(quote, wanted))
    outcome = ctx.probe(
        f"cd / && du -skcD -- {names} 2>/dev/null | awk 'END {{ print \"size\", $1 }}'\n"
        + room_script(quote(shelf.folder))
        + packer_script(),
        deadline=LONG_DEADLINE,
    )
    told = read_numbers(outcome.out)
    if not outcome.ok or "size" not in told or "free" not in told:
        raise ActionFailed(f"cannot look at the files on {ctx.host}: {outcome.err.strip()}")
    least = told["size"] // 1024 + _LEAST_ROOM
    if told["free"] < least:
        raise ActionFailed(
            f"{shelf.folder} on {ctx.host} has {told['free']} MiB free, and the files may need"
            f" {least}",
            hint="make room there, or set `backup.dir` to a larger disk",
        )
    return told["size"] * 1024, outcome.out.split()[-1]


def _archive(ctx: ActionContext, script: str, file: str, size: int) -> Part:
    outcome = ctx.act(script, deadline=LONG_DEADLINE, idle=True, watch=Growth(ctx, "", size).watch)
    if not outcome.ok:
        raise ActionFailed(
            f"the files on {ctx.host} cannot be kept: {outcome.err.strip()}",
            hint="nothing is left of this backup; earlier ones are as they were",
        )
    told = {row[0]: row[1] for row in map(str.split, outcome.out.splitlines()) if len(row) == 2}
    return Part(file, int(told["size"]), told["sha256"], held=size)


def archive_script(folder: str, file: str, wanted: Sequence[str], packer: str) -> str:
    """Packs what is there of `wanted` (paths below /) into a file, and reads it once more.
    A file that grows while it is read (status 1 of tar) is no failure; sockets are left out."""
    path = f"{folder}/{file}"
    failed = quote(f"{path}.failed")
    command = (
        f"{{ tar -C / --create --warning=no-file-changed --warning=no-file-ignored"
        f" --transform='s,/\\.\\(/\\|$\\),\\1,rSh'"
        f' "$@"; [ "$?" -le 1 ] || : > {failed}; }}'
        f" | {pack(packer)} > {quote(path)} && [ ! -e {failed} ]"
    )
    program = pack(packer).split()[0]
    return f"""\
umask 077
folder={quote(folder)}
mkdir -p "$folder" || exit
trap '[ "$?" = 0 ] || rm -rf "$folder"' EXIT
for one in "${{folder%/*}}"/{PARTIAL}*-"${{folder##*-}}"; do
    [ "$one" = "$folder" ] || rm -rf "$one"
done
rm -f {quote(path)} {failed}
set --
for one in {" ".join(map(quote, wanted))}; do
    if [ -d "/$one" ]; then one=$one/.; fi  # what a link leads to, not the link
    if [ -e "/$one" ]; then set -- "$@" "$one"; fi
done
if [ "$#" = 0 ]; then set -- --files-from=/dev/null; fi
{watched(command, path)}
{summed_script(path)}
{program} -d -c {quote(path)} | tar --list >/dev/null || exit
wait "$summing" || exit
{sizes_script(path)}
"""


class PruneArgs(Args):
    """The arguments of `backup_prune`."""

    protect: list[str] = Field(
        default_factory=list, description="names of backups that stay, whatever `keep` says"
    )


class Prune:
    """Removes all but the latest `backup.keep`."""

    spec = ActionSpec(
        name="backup_prune",
        args=PruneArgs,
        summary="Remove old backups from the host: all but the latest `backup.keep`, and those"
        " that a release needs as its way back.",
        example="- backup_prune:\n",
        returns={"removed": "The names of those that went."},
    )

    def run(self, args: PruneArgs, ctx: ActionContext) -> Result:
        """Each is renamed before it is removed, so that no half of one is taken for a whole."""
        cluster = cluster_of(ctx.vars)
        shelf = shelf_of(cluster)
        keep = int(cluster.part("backup").get("keep") or 7)
        protected = {*args.protect, *needed(cluster)}
        old = superfluous(manifests_on(shelf, ctx), keep, protected)
        if old and not ctx.check:
            lines = [
                f"mv -T {quote(f'{shelf.folder}/{name}')}"
                f" {quote(f'{shelf.folder}/{PARTIAL}{name}-gone')} || exit"
                for name in old
            ]
            script = "\n".join([*lines, f"rm -rf {quote(shelf.folder)}/{PARTIAL}*-gone\n"])
            outcome = ctx.act(script, deadline=LONG_DEADLINE)
            if not outcome.ok:
                raise ActionFailed(f"cannot remove backups on {ctx.host}: {outcome.err.strip()}")
        return Result(changed=bool(old), values={"removed": old})


def needed(cluster: Cluster) -> set[str]:
    """The backups that a rollback would restore, from the present release and from what is on
    its way: the first one on the line of parents."""
    told = [
        facts
        for host in cluster.members
        for facts in (
            cluster.fact(host, "nocobase_release"),
            *(cluster.fact(host, "nocobase_releases") or ()),
        )
        if facts
    ]
    by_number = {int(one["number"]): one for one in told}
    coming = [cluster.fact(host, "nocobase_pending") for host in cluster.members]
    found: set[str] = set()
    for begin in (releases.newest(told), *coming):
        one = begin
        while one and not one.get("backup"):
            one = by_number.get(int(one["parent"])) if one.get("parent") else None
        if one:
            found.add(str(one["backup"]))
    return found
