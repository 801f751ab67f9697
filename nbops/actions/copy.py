"""`copy`: content or files put on the host, only when different, whole or not at all."""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import replace
from pathlib import Path as LocalPath

from pydantic import Field, model_validator

from nbops.actions import copy_tree
from nbops.actions.api import ActionContext, Result
from nbops.actions.attrs import AS_IT_IS, OwnedArgs, apply_mode
from nbops.actions.outcome import failed
from nbops.actions.put import Goal, put
from nbops.actions.values import Content, Mode, Path, Plain
from nbops.base.command import Text
from nbops.base.secret import Secret, reveal
from nbops.runbook.spec import ActionSpec

RETURNS = {
    "dest": "The file on the host.",
    "checksum": "sha1 of its content.",
    "md5sum": "md5 of its content, when it was written.",
    "backup_file": "Where the content before was kept.",
    "mode": "Its permissions.",
    "owner": "Its user.",
    "group": "Its group.",
    "uid": "The user's number.",
    "gid": "The group's number.",
    "size": "Its size in bytes.",
    "state": "What it is: `file`.",
}


class PutArgs(OwnedArgs):
    """What `copy` and `template` have in common."""

    dest: Path = Field(description="Where it goes; a folder keeps the source's name.")
    backup: bool = Field(False, description="Keep the content before beside it, with a date.")
    force: bool = Field(True, description="Replace what is there when it differs.")
    follow: bool = Field(False, description="Write through a link at `dest`, not over it.")
    validate_with: Plain | None = Field(
        None, alias="validate", description="Command that must accept the file (`%s`) first."
    )


class CopyArgs(PutArgs):
    """The arguments of `copy`."""

    src: Path | None = Field(
        None,
        description="File or folder beside the runbook (on the host with `remote_src`).",
        json_schema_extra={"file": "files", "unless": "remote_src"},
    )
    content: Content | None = Field(None, description="The content itself, instead of `src`.")
    remote_src: bool = Field(False, description="`src` is on the host.")
    directory_mode: Mode = Field(None, description="Permissions of folders made.")
    local_follow: bool | None = Field(
        None,
        description="Copy what links in `src` point to: true, but with `remote_src` links stay.",
    )
    checksum: Plain | None = Field(None, description="sha1 that the source must have.")

    @model_validator(mode="after")
    def _one_source(self) -> CopyArgs:
        if (self.src is None) == (self.content is None):
            raise ValueError("give either `src` or `content`")
        if self.content is not None and self.dest.endswith("/"):
            raise ValueError("can not use content with a dir as dest")
        if self.directory_mode is not None:
            apply_mode(0, self.directory_mode, folder=True, umask=0)
        if self.remote_src and self.validate_with is not None and self.wanted() != AS_IT_IS:
            raise ValueError(
                "`validate` with `remote_src` and an owner, group or mode changes the source "
                "itself under Ansible: set the rights with `file` afterwards"
            )
        return self


class CopyAction:
    """Copies a file, a folder or a text to the host."""

    spec = ActionSpec(
        name="copy",
        args=CopyArgs,
        summary="Copy a file, a folder or a text to the host.",
        example="- copy:\n    content: 'ready'\n    dest: /etc/nocobase/state\n    mode: '0644'\n",
        returns={**RETURNS, "src": "Where it came from."},
    )

    def run(self, args: CopyArgs, ctx: ActionContext) -> Result:
        """Write what differs; in check mode, say what would be written."""
        if args.content is not None:
            return put(goal_of(args, _bytes(args.content), secret=_is_secret(args.content)), ctx)
        assert args.src is not None  # noqa: S101 - the model has checked
        if args.remote_src:
            return copy_tree.from_host(args, ctx)
        source = ctx.find(args.src.rstrip("/") or "/", "files")
        if source.is_dir():
            return copy_tree.from_here(args, source, ctx)
        wrong = _wrong_sum(args, source)
        return wrong or put(goal_of(args, source, name=posixpath.basename(args.src)), ctx)


def goal_of(
    args: PutArgs, content: bytes | LocalPath, *, name: str = "", secret: bool = False
) -> Goal:
    """What is to stand at the destination."""
    wanted = args.wanted()
    if wanted.mode == "preserve":
        here = content.stat().st_mode & 0o7777 if isinstance(content, LocalPath) else None
        wanted = replace(wanted, mode=None if here is None else f"{here:04o}")
    return Goal(
        content=content,
        dest=args.dest,
        name=name,
        wanted=wanted,
        directory_mode=getattr(args, "directory_mode", None),
        backup=args.backup,
        force=args.force,
        follow=args.follow,
        validate=args.validate_with,
        secret=secret,
    )


def _bytes(content: Text) -> bytes:
    return reveal(content).encode("utf-8", "surrogateescape")


def _is_secret(content: Text) -> bool:
    return isinstance(content, Secret)


def _wrong_sum(args: CopyArgs, source: LocalPath) -> Result | None:
    if args.checksum is None:
        return None
    real = hashlib.sha1(source.read_bytes(), usedforsecurity=False).hexdigest()
    if real == args.checksum:
        return None
    return failed(
        "Copied file does not match the expected checksum. Transfer failed.",
        checksum=real,
        expected_checksum=args.checksum,
    )
