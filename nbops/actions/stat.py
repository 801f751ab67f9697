"""`stat`: what is at a path."""

from __future__ import annotations

import stat
from typing import Any, Literal

from pydantic import AliasChoices, Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.outcome import must
from nbops.actions.paths import LINK, LOOK, Answer, PathState
from nbops.actions.values import OptionalPath
from nbops.actions.words import expanded
from nbops.base.command import Effect
from nbops.runbook.spec import ActionSpec, Args

Algorithm = Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]

_BITS = {
    "rusr": stat.S_IRUSR,
    "wusr": stat.S_IWUSR,
    "xusr": stat.S_IXUSR,
    "rgrp": stat.S_IRGRP,
    "wgrp": stat.S_IWGRP,
    "xgrp": stat.S_IXGRP,
    "roth": stat.S_IROTH,
    "woth": stat.S_IWOTH,
    "xoth": stat.S_IXOTH,
    "isuid": stat.S_ISUID,
    "isgid": stat.S_ISGID,
}
_KINDS = {
    "isdir": stat.S_IFDIR,
    "ischr": stat.S_IFCHR,
    "isblk": stat.S_IFBLK,
    "isreg": stat.S_IFREG,
    "isfifo": stat.S_IFIFO,
    "islnk": stat.S_IFLNK,
    "issock": stat.S_IFSOCK,
}


# The letters of lsattr and their names in Ansible.
_ATTRIBUTES = {
    "A": "noatime", "a": "append", "c": "compressed", "C": "nocow", "d": "nodump",
    "D": "dirsync", "e": "extents", "E": "encrypted", "h": "blocksize", "i": "immutable",
    "I": "indexed", "j": "journalled", "N": "inline", "s": "zero", "S": "synchronous",
    "t": "notail", "T": "blockroot", "u": "undelete", "X": "compressedraw",
    "Z": "compresseddirty",
}  # fmt: skip


class StatArgs(Args):
    """The arguments of `stat`."""

    path: OptionalPath = Field(
        description="The path.", validation_alias=AliasChoices("path", "dest", "name")
    )
    follow: bool = Field(False, description="Look at what a link points to.")
    get_checksum: bool = Field(True, description="Give a plain file's checksum.")
    checksum_algorithm: Algorithm = Field(
        "sha1",
        description="Which checksum.",
        validation_alias=AliasChoices("checksum_algorithm", "checksum", "checksum_algo"),
    )
    get_mime: bool = Field(
        True,
        description="Give `mimetype` and `charset`, where the host has the program `file`.",
        validation_alias=AliasChoices("get_mime", "mime", "mime_type", "mime-type"),
    )
    get_attributes: bool = Field(
        True,
        description="Give `attributes`, where the host has the program `lsattr`.",
        validation_alias=AliasChoices("get_attributes", "attr", "attributes"),
    )


def probe_script(args: StatArgs) -> str:
    """Prints the path, its record, its link, what we may do with it, its checksum."""
    follow = (
        'if [ -L "$p" ] && [ -e "$p" ]; then f=$(readlink -fn -- "$p"; echo x); f=${f%x}; fi\n'
        if args.follow
        else ""
    )
    checksum = (
        f'if [ -f "$f" ] && [ ! -L "$f" ] && [ -r "$f" ]; '
        f'then s=$({args.checksum_algorithm}sum < "$f"); printf \'%s\\0\' "${{s%% *}}"; '
        "else printf '\\0'; fi\n"
    )
    mime = 'file --mime-type --mime-encoding -- "$g"' if args.get_mime else ":"
    attributes = 'lsattr -vd -- "$g"' if args.get_attributes else ":"
    return (
        f"{LOOK}{LINK}p={expanded(args.path or '')}\n"
        "case $p in -*) f=./$p;; *) f=$p;; esac; g=$f\n"
        f"{follow}"
        'printf \'%s\\0\' "$p"; nb_look "$f"; nb_link "$f"\n'
        't=$(readlink -fn -- "$f"; echo x); printf \'%s\\0\' "${t%x}"\n'
        'for may in r w x; do if [ "-$may" "$f" ]; then printf 1; fi; printf "\\0"; done\n'
        + (checksum if args.get_checksum else "printf '\\0'\n")
        + f"{mime} 2>/dev/null; printf '\\0'; {attributes} 2>/dev/null; printf '\\0'\n"
    )


def read_stat(output: bytes, args: StatArgs) -> dict[str, Any]:
    """The answer to `probe_script`, under Ansible's keys."""
    answer = Answer(output)
    path = answer.text()
    state = answer.linked(path)
    if not state.exists:
        return {"exists": False}
    source = answer.text()
    readable, writeable, executable = (answer.flag() for _ in range(3))
    return stat_keys(state, source) | {
        "readable": readable,
        "writeable": writeable,
        "executable": executable,
        **({"checksum": checksum} if (checksum := answer.text()) else {}),
        **mime_keys(answer.text(), asked=args.get_mime),
        **attribute_keys(answer.text(), asked=args.get_attributes),
    }


def mime_keys(said: str, *, asked: bool) -> dict[str, str]:
    """`file`'s word on a file, under Ansible's keys."""
    if not asked:
        return {}
    kind, _, charset = said.rpartition(":")[2].partition(";")
    known = kind.strip() and "=" in charset
    return {
        "mimetype": kind.strip() if known else "unknown",
        "charset": charset.split("=")[1].strip() if known else "unknown",
    }


def attribute_keys(said: str, *, asked: bool) -> dict[str, Any]:
    """`lsattr`'s word on a file, under Ansible's keys."""
    if not asked:
        return {}
    version, flags = [*said.split(), "", ""][:2] if said.strip() else (None, "")
    flags = (flags or "").replace("-", "")
    names = [_ATTRIBUTES[flag] for flag in flags if flag in _ATTRIBUTES]
    return {"version": version, "attr_flags": flags, "attributes": names}


def stat_keys(state: PathState, source: str) -> dict[str, Any]:
    """A path's record under Ansible's keys; `source` is where a link leads in the end."""
    keys: dict[str, Any] = {
        "exists": True,
        "path": state.path,
        "mode": f"{state.permissions:04o}",
        **{name: stat.S_IFMT(state.mode) == kind for name, kind in _KINDS.items()},
        **{name: bool(state.mode & bit) for name, bit in _BITS.items()},
        "uid": state.uid,
        "gid": state.gid,
        "size": state.size,
        "inode": state.inode,
        "dev": state.device,
        "nlink": state.links,
        "atime": state.atime,
        "mtime": state.mtime,
        "ctime": state.ctime,
        "blocks": state.blocks,
        "block_size": state.block_size,
        "device_type": (state.major << 8 & 0xFFF00) | (state.minor & 0xFF),
    }
    if state.owner != str(state.uid):
        keys["pw_name"] = state.owner
    if state.group != str(state.gid):
        keys["gr_name"] = state.group
    if state.is_link:
        keys |= {"lnk_source": source, "lnk_target": state.target}
    return keys


class StatAction:
    """Tells what is at a path."""

    spec = ActionSpec(
        name="stat",
        args=StatArgs,
        summary="Tell what is at a path; changes nothing.",
        example="- stat:\n    path: /opt/nocobase/.env\n  register: env_file\n",
        effect=Effect.NONE,
        returns={"stat": "What is there: `exists`, `isdir`, `isreg`, `mode`, `checksum`…"},
    )

    def run(self, args: StatArgs, ctx: ActionContext) -> Result:
        """One round trip."""
        if args.path is None:
            return Result(values={"stat": {"exists": False}})
        answer = must(ctx.probe(probe_script(args)), f"looking at {args.path}")
        return Result(values={"stat": read_stat(answer.stdout, args)})
