"""`nocobase_restore_files`: the plugin packages of a backup, back in their place."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import LONG_DEADLINE, quote
from nbops.base.errors import ActionFailed, RefusedError
from nbops.nocobase.backups import Manifest, is_name
from nbops.nocobase.databases.watched import fed, unpack
from nbops.nocobase.plans import Here, here
from nbops.nocobase.shelf import manifest_of, shelf_of
from nbops.nocobase.steps.backup_files import WHAT, plugins_folder
from nbops.nocobase.steps.restore import BackupArgs
from nbops.runbook.spec import ActionSpec


class RestoreFilesArgs(BackupArgs):
    """The arguments of `nocobase_restore_files`."""

    state: Literal["restored", "back"] = Field(
        default="restored", description="`back` undoes it: the replaced packages return"
    )


class RestoreFiles:
    """Plugin packages as they were, and no order to upgrade left behind."""

    spec = ActionSpec(
        name="nocobase_restore_files",
        args=RestoreFilesArgs,
        summary="Put the plugin packages of a backup back, and take a left-over `.upgrading` away.",
        example='- nocobase_restore_files: "{{ nocobase_backup.name }}"\n',
        free_form="backup",
        check="says whether there is anything to put back",
    )

    def run(self, args: RestoreFilesArgs, ctx: ActionContext) -> Result:
        """Users' files are never touched: what they uploaded since stays. The replaced packages
        stay beside the storage's own, under the run's name. For a stopped app only."""
        if not is_name(args.backup):
            raise RefusedError(f"`{args.backup}` cannot be the name of a backup")
        node = here(ctx.vars)
        shelf = shelf_of(node.cluster)
        storage = node.plan.storage
        run = str(ctx.vars.get("nbops_run", ""))
        kept = f"{plugins_folder(storage)}-replaced-{run}"
        if args.state == "back":
            return _back(node, kept, ctx)
        found = manifest_of(shelf, args.backup, WHAT, ctx)
        flag = f"{storage}/.upgrading"
        left = ctx.probe(f"test -e {quote(flag)}").ok
        # Between its two renames a machine can go down: then there are no packages at all.
        done = ctx.probe(f"test -e {quote(kept)} && test -e {quote(plugins_folder(storage))}").ok
        todo = found is not None and _is_owner(node) and not done
        if not ctx.check and (todo or left):
            script = f"rm -f {quote(flag)} || exit\n"
            if found is not None and todo:
                archive = f"{shelf.of(found.name, WHAT)}/{found.parts[0].file}"
                script += put_back_script(found, archive, storage, kept)
            outcome = ctx.act(script, deadline=LONG_DEADLINE)
            if not outcome.ok:
                raise ActionFailed(
                    f"the plugin packages on {ctx.host} cannot be put back: {outcome.err.strip()}"
                )
        return Result(changed=todo or left)


def _is_owner(node: Here) -> bool:
    """Whether this node sees to the storage: of one that all share, the first."""
    return not node.shared_storage or node.cluster.me.host == node.cluster.nodes[0].host


def _back(node: Here, kept: str, ctx: ActionContext) -> Result:
    there = _is_owner(node) and ctx.probe(f"test -e {quote(kept)}").ok
    if there and not ctx.check:
        outcome = ctx.act(take_back_script(node.plan.storage, kept), deadline=LONG_DEADLINE)
        if not outcome.ok:
            raise ActionFailed(
                f"the plugin packages of before are not back on {ctx.host}: {outcome.err.strip()}",
                hint=f"they are in {kept}",
            )
    return Result(changed=there)


def put_back_script(manifest: Manifest, archive: str, storage: str, kept: str) -> str:
    """Unpacks the packages beside their place, and swaps the two folders. When the backup has
    none, none are left; what was there is in the folder `kept` either way."""
    plugins, new = plugins_folder(storage), f"{storage}/.plugins-nbops-new"
    member = plugins.lstrip("/")
    return f"""\
umask 022
{fed(f"{manifest.parts[0].sha256}  {archive}", "sha256sum --check --quiet >&2")} || exit
rm -rf {quote(new)} && mkdir -p {quote(new)} || exit
if {unpack(archive)} | tar --list | grep -q -F -x -e {quote(member)}/; then
    {unpack(archive)} | tar --extract --directory {quote(new)} \\
        --strip-components={len(member.split("/"))} -- {quote(member)} || exit
fi
[ -e {quote(kept)} ] ||
    {{ mkdir -p {quote(plugins)} && mv -T {quote(plugins)} {quote(kept)}; }} || exit
mv -T {quote(new)} {quote(plugins)}
"""


def take_back_script(storage: str, kept: str) -> str:
    """Undoes `put_back_script`, however far it came. What it unpacked goes: the backup has it."""
    plugins, new = quote(plugins_folder(storage)), quote(f"{storage}/.plugins-nbops-new")
    return f"""\
[ -e {quote(kept)} ] || exit 0
rm -rf {new} || exit
if [ -e {plugins} ]; then mv -T {plugins} {new} || exit; fi
mv -T {quote(kept)} {plugins} && rm -rf {new}
"""
