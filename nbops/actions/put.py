"""One file to the host: look (one round trip), decide, and write only what differs."""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbops.actions import place
from nbops.actions.api import ActionContext, Diff, Result
from nbops.actions.attrs import AS_IT_IS, IDS, Rights, Wanted, set_owner
from nbops.actions.outcome import failed, lines_of, must
from nbops.actions.paths import LOOK, SUM, Answer, PathState, plain_diff
from nbops.actions.words import expanded
from nbops.base.command import quote
from nbops.base.secret import MASK

LARGEST_DIFF = 104_448


@dataclass(frozen=True)
class Goal:
    """What is to stand at a path of the host.

    `content` is bytes or a file here. `name` is the file's name when `dest` is a folder; ""
    when there is none. `header` names the new side of a diff. `secret` content is never
    shown.
    """

    content: bytes | Path
    dest: str
    name: str = ""
    wanted: Wanted = AS_IT_IS
    directory_mode: str | None = None
    backup: bool = False
    force: bool = True
    follow: bool = False
    validate: str | None = None
    secret: bool = False
    header: str = ""

    def read(self) -> bytes:
        """The content."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True, slots=True)
class Found:
    """What the probe saw: the path to write, what is there, and who we are.

    `given` is `dest` as the host reads it (`~` and variables replaced).
    """

    given: str
    path: str
    parent: bool
    existing: PathState
    target_is_dir: bool
    rights: Rights


def probe_script(dest: str, name: str, size: int, wanted: Wanted, *, follow: bool) -> str:
    """Prints where the file goes, whether its folder is there, what is there, and our ids."""
    inside = f"f=${{p%/}}/{quote(name)}" if name else "f=$p"
    lines = [
        LOOK + SUM + IDS,
        f"p={expanded(dest)}\n",
        f'case $p in */) {inside};; *) if [ -d "$p" ]; then {inside}; else f=$p; fi;; esac\n',
    ]
    if follow:
        lines.append(
            '[ -L "$f" ] && [ -e "$f" ] && { f=$(readlink -fn -- "$f"; echo x); f=${f%x}; }\n'
        )
    lines += [
        "case $f in -*) f=./$f;; esac\n",
        "case $f in */*) d=${f%/*}/;; *) d=.;; esac\n",
        'printf \'%s\\0%s\\0\' "$p" "$f"\n',
        'if [ -d "$d" ]; then printf 1; fi; printf "\\0"\n',
        'if [ -d "$f" ]; then printf 1; fi; printf "\\0"\n',
        f'nb_look "$f"; nb_sum "$f" {size}\n',
        wanted.probe(),
    ]
    return "".join(lines)


def read_found(output: bytes, wanted: Wanted) -> Found:
    """The answer to `probe_script`."""
    answer = Answer(output)
    given, path = answer.text(), answer.text()
    parent, target_is_dir = answer.flag(), answer.flag()
    existing = answer.summed(path)
    return Found(given, path, parent, existing, target_is_dir, wanted.read(answer))


def put(goal: Goal, ctx: ActionContext) -> Result:
    """Bring the file to the host when it differs; set its rights when only they differ."""
    content = goal.read()
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    script = probe_script(goal.dest, goal.name, len(content), goal.wanted, follow=goal.follow)
    found = read_found(must(ctx.probe(script), f"looking at {goal.dest}").stdout, goal.wanted)
    problem = _problem(goal, found, check=ctx.check)
    if problem:
        return failed(problem, checksum=sha1)
    if not goal.force and found.existing.exists:
        here = {"src": _source(goal)} if _source(goal) else {}
        return Result(values={"dest": found.path, **here})
    if found.existing.is_link or found.existing.sha1 != sha1:
        return _write(goal, content, sha1, found, ctx)
    return _set_rights(found, sha1, ctx)


def _problem(goal: Goal, found: Found, *, check: bool) -> str:
    if found.target_is_dir and not goal.name:
        return "can not use content with a dir as dest"
    if found.target_is_dir:
        return f"{found.path} is a folder on the host: a file cannot take its place"
    if check and found.existing.exists:
        return found.rights.problem
    # In check mode the folder may be one that an earlier task would have made.
    if not found.parent and not goal.dest.endswith("/") and not check:
        folder = posixpath.dirname(found.path)
        return f"Destination directory {folder} does not exist"
    return ""


def _source(goal: Goal) -> str:
    return str(goal.content) if isinstance(goal.content, Path) else ""


def _write(goal: Goal, content: bytes, sha1: str, found: Found, ctx: ActionContext) -> Result:
    diff = _diff(goal, content, found, ctx) if ctx.diff else None
    if ctx.check:
        return Result(changed=True, diff=diff)
    staged = ctx.stage(goal.content)
    file = place.plan(staged, found.path, found.rights, found.existing, backup=goal.backup)
    folder = posixpath.dirname(found.path)
    new = "" if found.parent else make_folders(folder, found.rights, goal.directory_mode)
    script = place.place_script([file], goal.validate, before=new, after=found.rights.complain())
    placed = place.read_placed(ctx.act(script), [file])
    if isinstance(placed, place.Refused):
        return failed(
            "failed to validate",
            checksum=sha1,
            exit_status=placed.status,
            **lines_of("stdout", placed.stdout),
            **lines_of("stderr", placed.stderr),
        )
    values: dict[str, Any] = {
        "dest": found.path,
        "src": staged,
        "checksum": sha1,
        "md5sum": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        **placed[0].state.attributes(),
    }
    if placed[0].backup_file:
        values["backup_file"] = placed[0].backup_file
    return Result(changed=True, values=values, diff=diff)


def _set_rights(found: Found, sha1: str, ctx: ActionContext) -> Result:
    state = found.existing
    changes = found.rights.changes(state)
    if changes and not ctx.check:
        script = f"{LOOK}set -e\nset -- {quote(state.path)}\n{found.rights.script(state)}"
        outcome = must(ctx.act(script + 'nb_look "$1"\n'), f"setting the rights of {state.path}")
        state = Answer(outcome.stdout).state(state.path)
    values = {"dest": state.path, "path": state.path, "checksum": sha1, **state.attributes()}
    return Result(changed=bool(changes), values=values, diff=rights_diff(state.path, changes, ctx))


def rights_diff(path: str, changes: dict[str, tuple[Any, Any]], ctx: ActionContext) -> Diff | None:
    """What differs in a path's rights, as text; None when nobody wants to see it."""
    if not ctx.diff:
        return None
    before = {"path": path} | {key: pair[0] for key, pair in changes.items()}
    after = {"path": path} | {key: pair[1] for key, pair in changes.items()}
    return Diff(plain_diff(before), plain_diff(after), path, path)


def make_folders(folder: str, rights: Rights, mode: str | None) -> str:
    """Lines that make a folder and those above it, with the rights asked for on the new ones."""
    lines = ['nb_folder() {\n[ -d "$1" ] && return\n']
    lines.append('case $1 in */*) [ "${1%/*}" = "" ] || nb_folder "${1%/*}";; esac\n')
    lines.append('mkdir -- "$1" || exit\n')
    lines += [f"{line}\n" for line in set_owner(rights.uid, rights.gid, {"owner", "group"})]
    if mode is not None:
        bits = replace(rights, mode=mode).final_mode(0o777 & ~rights.umask, folder=True)
        lines.append(f'chmod {bits:05o} -- "$1"\n')
    lines.append(rights.complain())
    lines.append(f"}}\nnb_folder {quote(folder.rstrip('/') or '/')}\n")
    return "".join(lines)


def _diff(goal: Goal, content: bytes, found: Found, ctx: ActionContext) -> Diff:
    header = goal.header or _source(goal) or found.path
    if goal.secret:
        return Diff("" if not found.existing.exists else f"{MASK}\n", f"{MASK} (changed)\n",
                    found.path, header)  # fmt: skip
    before = b""
    if found.existing.is_file and found.existing.size <= LARGEST_DIFF:
        before = ctx.fetch(found.path)
    return Diff(shown(before), shown(content), found.path, header)


def shown(content: bytes) -> str:
    """Content as a diff shows it; too large or binary content is only named."""
    if len(content) > LARGEST_DIFF:
        return f"({len(content)} bytes)\n"
    if b"\0" in content:
        return f"(binary, {len(content)} bytes)\n"
    return content.decode("utf-8", "replace")
