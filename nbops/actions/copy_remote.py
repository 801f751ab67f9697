"""`copy` with `remote_src` of a folder: what is in one folder of the host into another one.

As under Ansible, folders and files that are not there yet come whole, with their permissions;
files that differ get content and permissions; folders that are there keep theirs. Owner and
group hold for everything, the mode for the destination alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nbops.actions.api import ActionContext, Result
from nbops.actions.attrs import Rights, set_owner
from nbops.actions.outcome import must
from nbops.actions.paths import LOOK, Answer, PathState
from nbops.actions.put import make_folders
from nbops.base.command import quote

if TYPE_CHECKING:
    from nbops.actions.copy import CopyArgs
    from nbops.actions.copy_tree import Entry


@dataclass(frozen=True)
class Merge:
    """A folder of the host beside the one that it is copied into.

    `pairs` begins with the two folders themselves. `given` is the path that mode and result
    speak of, `at_given` what is there, `foreign` tells whether something in the destination
    belongs to others than was asked for.
    """

    source: str
    dest: str
    given: str
    at_given: PathState
    pairs: Sequence[tuple[Entry, PathState]]
    rights: Rights
    foreign: bool

    @property
    def there(self) -> PathState:
        """What is at the destination."""
        return self.pairs[0][1]


def merge(args: CopyArgs, seen: Merge, ctx: ActionContext) -> Result:
    """Copy what is missing or differs; in check mode, tell whether something would be."""
    values: dict[str, Any] = {"src": args.src, "dest": seen.given, "md5sum": None, "checksum": None}
    if not args.force and seen.at_given.exists:
        return Result(msg="file already exists", values={"src": args.src, "dest": seen.given})
    lines = list(_copies(args, seen))
    rights = _top_rights(args, seen)
    changes = rights.changes(seen.at_given) if seen.at_given.exists else {}
    changed = bool(lines or changes or seen.foreign)
    if changed and not ctx.check:
        owners = set_owner(rights.uid, rights.gid, {"owner", "group"})
        both = [seen.dest] if seen.dest == seen.given.rstrip("/") else [seen.dest, seen.given]
        lines += [
            f"set -- {quote(path)}\n{line.replace('-h', '-hR' if path == seen.dest else '-h')}\n"
            for path in both
            for line in owners
        ]
        if rights.mode is not None:
            lines.append(f"chmod {rights.mode} -- {quote(seen.given)}\n")
        done = "".join(["set -e\n", *lines, rights.complain()])
        must(ctx.act(done), f"copying {args.src}")
    now = seen.at_given
    if changed and not ctx.check:
        outcome = must(
            ctx.probe(f"{LOOK}nb_look {quote(seen.given)}\n"), f"looking at {seen.given}"
        )
        now = Answer(outcome.stdout).state(seen.given)
    return Result(changed=changed, values=values | now.attributes())


def _top_rights(args: CopyArgs, seen: Merge) -> Rights:
    """The rights of the destination, its mode in octal."""
    wanted, source = seen.rights, seen.pairs[0][0]
    if args.mode is None:
        return replace(wanted, mode=None)
    if args.mode == "preserve":
        return replace(wanted, mode=f"{source.mode:05o}")
    current = 0o777 & ~wanted.umask
    if seen.at_given.exists:
        current = seen.at_given.permissions
    elif seen.given == seen.dest:
        current = source.mode
    elif args.dest.endswith("/"):
        current = replace(wanted, mode=args.directory_mode).final_mode(current, folder=True)
    mode = replace(wanted, mode=args.mode).final_mode(current, folder=True)
    return replace(wanted, mode=f"{mode:05o}")


def _copies(args: CopyArgs, seen: Merge) -> Iterator[str]:
    """The commands that copy, from the top down."""
    if not seen.there.exists:
        if args.dest.endswith("/"):
            folder = seen.dest if seen.given.endswith("/") else posixpath.dirname(seen.dest)
            yield make_folders(folder, seen.rights, args.directory_mode)
        if not seen.given.endswith("/"):
            yield f"mkdir -p -- {quote(posixpath.dirname(seen.dest) or '.')}\n"
            yield _whole(args, seen.source, seen.dest)
            return
    done: list[str] = []
    for entry, there in seen.pairs[1:]:
        if any(entry.below.startswith(f"{one}/") for one in done):
            continue
        if not there.exists:
            done.append(entry.below)
            yield _new(args, entry, there.path)
        elif entry.kind == "dir":
            # What is a folder on one side only stays as it is.
            done += [] if there.is_dir or there.is_link else [entry.below]
        elif entry.kind == "file" and not there.is_dir and there.sha1 != entry.sha1:
            yield _content(entry, there.path)


def _new(args: CopyArgs, entry: Entry, dest: str) -> str:
    if entry.kind == "dir":
        return _whole(args, str(entry.source), dest)
    if entry.kind == "file":
        return _content(entry, dest)
    if args.local_follow is False:
        return f"ln -s -T -- {quote(entry.target)} {quote(dest)}\n"
    return ":\n"  # counts as a change and is none, as under Ansible


def _content(entry: Entry, dest: str) -> str:
    return f"cp -L -T --preserve=mode -- {quote(str(entry.source))} {quote(dest)}\n"


def _whole(args: CopyArgs, source: str, dest: str) -> str:
    links = "-L" if args.local_follow else "-P"
    options = f"-R {links} -T --preserve=mode,timestamps"
    return f"cp {options} -- {quote(source)}/ {quote(dest)}\n"
