"""`copy` of whole folders, and of what is on the host already (`remote_src`)."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbops.actions import place
from nbops.actions.api import ActionContext, Diff, Result
from nbops.actions.attrs import IDS, Rights, Wanted
from nbops.actions.copy_remote import Merge, merge
from nbops.actions.outcome import failed, lines_of, must
from nbops.actions.paths import LINK, LOOK, SUM, Answer, PathState
from nbops.actions.put import make_folders
from nbops.actions.words import expanded
from nbops.base.command import quote
from nbops.base.errors import ActionFailed

if TYPE_CHECKING:
    from nbops.actions.copy import CopyArgs

# nb_tree SOURCE DEST: kind, path below both, and both records of everything in SOURCE; an
# empty kind at the end. nb_pair tells of one. Links are followed when F is 1.
_TREE = """nb_pair() {
f=$1; if [ "$F" = 1 ] && [ -L "$1" ]; then f=$(readlink -fn -- "$1"; echo x); f=${f%x}; fi
k=file; [ ! -d "$f" ] || k=dir; [ ! -L "$f" ] || k=link
printf '%s\\0%s\\0' "$k" "$3"; nb_look "$f"; nb_link "$f"; nb_sum "$f" ''
nb_look "$2"; nb_link "$2"; nb_sum "$2" ''
}
nb_tree() {
for i in "$1"/* "$1"/.[!.]* "$1"/..?*; do
[ -e "$i" ] || [ -L "$i" ] || continue
n=${i#"$S"}; nb_pair "$i" "$D$n" "$n"
[ "$k" != dir ] || nb_tree "$i"
done
}
"""


@dataclass(frozen=True)
class Entry:
    """Something to be copied. `below` is its path from the destination on, `/sub/file`.

    `source` is a path here, or on the host with `remote_src`.
    """

    below: str
    kind: Literal["file", "dir", "link"]
    source: Path | str
    sha1: str = ""
    size: int = 0
    mode: int = 0
    target: str = ""


@dataclass(frozen=True)
class Tree:
    """What is to be copied beside what is there; rights for files and for folders."""

    dest: str
    pairs: Sequence[tuple[Entry, PathState]]
    rights: Rights
    folder_rights: Rights
    own_modes: bool = False


def from_here(args: CopyArgs, source: Path, ctx: ActionContext) -> Result:
    """A folder of the runbook's; with a slash at the end of `src`, what is in it."""
    src = args.src or ""
    prefix = "" if src.endswith("/") else f"/{source.name}"
    entries = list(walk(source, prefix, follow=args.local_follow is not False))
    # A folder with nothing in it is not made, as under Ansible; an empty one in it is.
    entries = entries if len(entries) > 1 else []
    script = _probe_here(args, entries)
    answer = Answer(must(ctx.probe(script), f"looking at {args.dest}").stdout)
    dest, is_file = answer.text(), answer.flag()
    if is_file:
        return failed(f"{dest} is a file: a folder cannot be copied into it")
    states = [_full(answer, dest + entry.below) for entry in entries]
    pairs = list(zip(entries, states, strict=True))
    tree = _tree(args, dest, pairs, answer, own_modes=args.mode == "preserve")
    done = _carry_out(args, tree, ctx)
    values = {
        **done.values,
        "dest": f"{dest}/",
        "src": f"{source.absolute()}{'/' if prefix == '' else ''}",
    }
    files = [pair for pair in pairs if pair[0].kind == "file"]
    if len(files) == 1 and not done.failed and not (ctx.check and done.changed):
        values |= _only_file(*files[0], done, ctx)
    return replace(done, values=values)


def from_host(args: CopyArgs, ctx: ActionContext) -> Result:
    """A file or folder that is on the host already."""
    answer = Answer(must(ctx.probe(_probe_host(args)), f"looking at {args.src}").stdout)
    source, dest, given = answer.text(), answer.text(), answer.text()
    parent = answer.flag()
    if not answer.flag():
        return failed(f"Source {source} not found", src=source, dest=dest)
    md5 = answer.text()
    pairs: list[tuple[Entry, PathState]] = []
    while kind := answer.text():
        below = answer.text()
        here, there = _full(answer, source + below), _full(answer, dest + below)
        pairs.append((_entry(kind, below, here), there))
    at_given, foreign = answer.state(given), answer.flag()
    if not parent and not ctx.check and not args.dest.endswith("/"):
        return failed(f"Destination directory {posixpath.dirname(given)} does not exist")
    if pairs[0][0].kind == "dir":
        rights = _wanted(args)[0].read(answer)
        return merge(args, Merge(source, dest, given, at_given, pairs, rights, foreign), ctx)
    if pairs[0][1].is_dir:
        return failed(f"{dest} is a folder: a file cannot take its place")
    tree = _tree(args, dest, pairs, answer, own_modes=args.mode == "preserve")
    done = _carry_out(args, tree, ctx)
    if done.failed:
        return done
    values = {"src": args.src, "dest": given, "md5sum": md5 or None}
    values["checksum"] = pairs[0][0].sha1 or None
    now = _now(pairs[0][1], done, ctx)
    return replace(done, values={**now.attributes(), **done.values, **values})


def _now(before: PathState, done: Result, ctx: ActionContext) -> PathState:
    """What stands at a path after a change that did not tell."""
    if ctx.check or not done.changed or "state" in done.values:
        return before
    script = f"{LOOK}nb_look {quote(before.path)}\n"
    outcome = must(ctx.probe(script), f"looking at {before.path}")
    return Answer(outcome.stdout).state(before.path)


def _only_file(entry: Entry, there: PathState, done: Result, ctx: ActionContext) -> dict[str, Any]:
    """A folder with one file in it is answered for by that file, as Ansible does."""
    values: dict[str, Any] = {"dest": there.path, "checksum": entry.sha1}
    if "state" in done.values and isinstance(entry.source, Path):
        content = entry.source.read_bytes()
        values["md5sum"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        values["src"] = done.values["src"]
        return values
    return values | {"path": there.path, **_now(there, done, ctx).attributes()}


def walk(source: Path, prefix: str, *, follow: bool) -> Iterator[Entry]:
    """Everything in a folder here, folders before what is in them. A link that leads back to
    a folder that it stands in stays a link."""
    yield Entry(prefix, "dir", source, mode=source.stat().st_mode & 0o7777)
    for root, folders, files in os.walk(source, followlinks=follow):
        folders.sort()
        below = prefix + root.removeprefix(str(source)).rstrip("/")
        for name in list(folders):
            path = Path(root, name)
            if path.is_symlink() and not (follow and _leads_on(path)):
                folders.remove(name)
                yield Entry(f"{below}/{name}", "link", path, target=str(path.readlink()))
                continue
            yield Entry(f"{below}/{name}", "dir", path, mode=path.stat().st_mode & 0o7777)
        for name in sorted(files):
            yield _local_file(Path(root, name), f"{below}/{name}", follow=follow)


def _leads_on(link: Path) -> bool:
    real = os.path.realpath(link)
    around = (os.path.realpath(folder) for folder in link.parents)
    return all(real != folder for folder in around)


def _local_file(path: Path, below: str, *, follow: bool) -> Entry:
    if path.is_symlink() and not (follow and path.exists()):
        return Entry(below, "link", path, target=str(path.readlink()))
    content = path.read_bytes()
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return Entry(below, "file", path, sha1, len(content), path.stat().st_mode & 0o7777)


def _entry(kind: str, below: str, here: PathState) -> Entry:
    known: Literal["file", "dir", "link"] = (
        "dir" if kind == "dir" else "link" if kind == "link" else "file"
    )
    return Entry(below, known, here.path, here.sha1, here.size, here.permissions, here.target)


def _full(answer: Answer, path: str) -> PathState:
    state = answer.linked(path)
    return replace(state, sha1=answer.text())


def _wanted(args: CopyArgs) -> tuple[Wanted, Wanted]:
    wanted = args.wanted()
    files = replace(wanted, mode=None) if wanted.mode == "preserve" else wanted
    return files, replace(wanted, mode=args.directory_mode)


def _tree(
    args: CopyArgs,
    dest: str,
    pairs: Sequence[tuple[Entry, PathState]],
    answer: Answer,
    *,
    own_modes: bool,
) -> Tree:
    files, folders = _wanted(args)
    rights = files.read(answer)
    own = own_modes and rights.mode is None
    return Tree(dest, pairs, rights, replace(rights, mode=folders.mode), own)


def _probe_here(args: CopyArgs, entries: Sequence[Entry]) -> str:
    lines = [
        LOOK + LINK + SUM + IDS,
        f"p={expanded(args.dest)}\np=${{p%/}}\n",
        "case $p in -*) p=./$p;; esac\nprintf '%s\\0' \"$p\"\n",
        'if [ -e "$p" ] && [ ! -d "$p" ]; then printf 1; fi; printf "\\0"\n',
        'nb_of() { nb_look "$1"; nb_link "$1"; nb_sum "$1" "$2"; }\n',
    ]
    lines += [f'nb_of "$p"{quote(entry.below)} {entry.size}\n' for entry in entries]
    return "".join([*lines, _wanted(args)[0].probe()])


def _probe_host(args: CopyArgs) -> str:
    src = args.src or ""
    return "".join(
        [
            LOOK + LINK + SUM + IDS + _TREE,
            f"F=1\nS={expanded(src)}\nD={expanded(args.dest)}\n",
            "case $S in */) S=${S%/}; c=1;; *) c=;; esac\nb=${S##*/}\n",
            "case $S in -*) S=./$S;; esac; case $D in -*) D=./$D;; esac\n",
            "G=$D\n",
            'if [ -d "$S" ]; then e=; [ ! -e "$D" ] || e=1; case $D in */) e=1;; esac\n',
            'D=${D%/}; if [ "$c" = 1 ]; then [ -z "$e" ] || G=$D/\n',
            'else [ -z "$e" ] || G=$D/$b; D=$D/$b; fi\n',
            'else case $D in */) D=$D$b;; *) [ ! -d "$D" ] || D=$D/$b;; esac; G=$D; fi\n',
            'printf \'%s\\0%s\\0%s\\0\' "$S" "$D" "$G"\n',
            "case $G in */*) d=${G%/*}/;; *) d=.;; esac\n",
            'if [ -d "$d" ]; then printf 1; fi; printf "\\0"\n',
            'if [ -e "$S" ]; then printf "1\\0"; else printf "\\0"; exit; fi\n',
            'if [ -f "$S" ]; then m=$(md5sum < "$S"); printf \'%s\' "${m%% *}"; fi\n',
            'printf "\\0"; nb_pair "$S" "$D" ""\n',
            f"F={1 if args.local_follow else 0}\n",
            '[ "$k" != dir ] || nb_tree "$S"\nprintf "\\0"\nnb_look "$G"\n',
            _foreign(args),
            _wanted(args)[0].probe(),
        ]
    )


def _foreign(args: CopyArgs) -> str:
    """Prints 1 when something in the destination belongs to others than is asked for."""
    tests = [
        f"! -{kind} {quote(name)}"
        for kind, name in (("user", args.owner), ("group", args.group))
        if name is not None
    ]
    if not tests:
        return 'printf "\\0"\n'
    found = f'find "$D" \\( {" -o ".join(tests)} \\) -print -quit 2>/dev/null'
    return f'if [ -d "$D" ] && [ -n "$({found})" ]; then printf 1; fi; printf "\\0"\n'


def _carry_out(args: CopyArgs, tree: Tree, ctx: ActionContext) -> Result:
    folders = _folder_script(tree)
    links = "".join(
        f"ln -s -f -n -T -- {quote(entry.target)} {quote(there.path)}\n"
        for entry, there in tree.pairs
        if entry.kind == "link" and there.target != entry.target
    )
    files = [pair for pair in tree.pairs if pair[0].kind == "file"]
    different = [pair for pair in files if _differs(pair, force=args.force)]
    same = [pair for pair in files if pair not in different]
    rights = "".join(_rights_script(tree, *pair) for pair in same) if args.force else ""
    diff = [_told(pair) for pair in different] if ctx.diff else None
    if not (folders or links or different or rights):
        return Result(diff=diff)
    if ctx.check:
        return Result(changed=True, diff=diff)
    missing = posixpath.dirname(tree.dest) if not folders else ""
    placements = [_placement(args, tree, pair, ctx) for pair in different]
    script = place.place_script(placements, args.validate_with, before=folders or _parent(
        missing, tree, args), after=f"set -e\n{links}{rights}{tree.rights.complain()}")  # fmt: skip
    placed = place.read_placed(ctx.act(script), placements)
    if isinstance(placed, place.Refused):
        return failed(
            "failed to validate",
            exit_status=placed.status,
            **lines_of("stdout", placed.stdout),
            **lines_of("stderr", placed.stderr),
        )
    values: dict[str, Any] = {}
    if len(files) == 1 and placed:
        values |= {"checksum": different[0][0].sha1, "src": placements[0].staged}
        values |= placed[0].state.attributes()
        values |= {"backup_file": placed[0].backup_file} if placed[0].backup_file else {}
    return Result(changed=True, values=values, diff=diff)


def _parent(folder: str, tree: Tree, args: CopyArgs) -> str:
    """Makes the folder that a single file goes to, when `dest` names it with a slash."""
    if not folder or not args.dest.endswith("/"):
        return ""
    return make_folders(folder, tree.folder_rights, tree.folder_rights.mode)


def _differs(pair: tuple[Entry, PathState], *, force: bool) -> bool:
    entry, there = pair
    if there.exists and not force:
        return False
    return there.is_link or there.sha1 != entry.sha1


def _rights_of(tree: Tree, entry: Entry) -> Rights:
    return replace(tree.rights, mode=f"{entry.mode:04o}") if tree.own_modes else tree.rights


def _rights_script(tree: Tree, entry: Entry, there: PathState) -> str:
    lines = _rights_of(tree, entry).script(there)
    return f"set -- {quote(there.path)}\n{lines}" if lines else ""


def _folder_script(tree: Tree) -> str:
    lines = []
    for entry, there in tree.pairs:
        if entry.kind != "dir":
            continue
        if there.exists and not there.is_dir and not there.is_link:
            raise ActionFailed(f"{there.path} is a file: a folder cannot take its place")
        mode = tree.folder_rights.mode
        if not there.exists:
            new = f"{entry.mode:04o}" if tree.own_modes and mode is None else mode
            lines.append(make_folders(there.path, tree.folder_rights, new))
        elif there.is_dir and not (entry.below == "" and isinstance(entry.source, Path)):
            rights = tree.folder_rights.script(there)
            lines.append(f"set -- {quote(there.path)}\n{rights}" if rights else "")
    return "".join(lines)


def _placement(
    args: CopyArgs, tree: Tree, pair: tuple[Entry, PathState], ctx: ActionContext
) -> place.Placement:
    entry, there = pair
    staged = entry.source if isinstance(entry.source, str) else ctx.stage(entry.source)
    if args.remote_src and entry.below == "" and there.exists:
        # A file of the host that takes another one's place comes with its own permissions.
        own = tree.rights
        mode = stat.S_IFREG | entry.mode
        there = replace(there, mode=mode, uid=own.own_uid, gid=own.own_gid)
    return place.plan(staged, there.path, _rights_of(tree, entry), there, backup=args.backup)


def _told(pair: tuple[Entry, PathState]) -> Diff:
    entry, there = pair
    before = f"sha1: {there.sha1}\n" if there.exists else ""
    return Diff(before, f"sha1: {entry.sha1}\n", there.path, there.path)
