"""`lineinfile`: one line of a file. The file is read whole, edited here, written whole."""

from __future__ import annotations

import base64
import posixpath
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from nbops.actions import place
from nbops.actions.api import ActionContext, Diff, Result
from nbops.actions.attrs import IDS, OwnedArgs, Rights
from nbops.actions.outcome import failed, lines_of, must
from nbops.actions.paths import LOOK, Answer, PathState
from nbops.actions.put import make_folders, shown
from nbops.actions.values import AnyText, Path, Plain
from nbops.actions.words import expanded
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.base.secret import MASK, Secret, reveal
from nbops.runbook.spec import ActionSpec

_RIGHTS = "ownership, perms or SE linux context changed"
_ENDS = (b"\n", b"\r")


class LineinfileArgs(OwnedArgs):
    """The arguments of `lineinfile`."""

    path: Path = Field(
        description="The file.", validation_alias=AliasChoices("path", "dest", "destfile", "name")
    )
    line: AnyText | None = Field(
        None, description="The line.", validation_alias=AliasChoices("line", "value")
    )
    regexp: Plain | None = Field(
        None,
        description="Pattern of the line to replace (the last that matches) or remove (all).",
        validation_alias=AliasChoices("regexp", "regex"),
    )
    search_string: Plain | None = Field(None, description="As `regexp`, but plain text.")
    state: Literal["present", "absent"] = Field("present", description="There or not.")
    insertafter: Plain | None = Field(
        None, description="Pattern of the line before a new one, or EOF."
    )
    insertbefore: Plain | None = Field(
        None, description="Pattern of the line after a new one, or BOF."
    )
    backrefs: bool = Field(False, description="Put groups of `regexp` into `line`.")
    firstmatch: bool = Field(False, description="Take the first match, not the last.")
    create: bool = Field(False, description="Make the file when it is not there.")
    backup: bool = Field(False, description="Keep the content before beside it, with a date.")
    validate_with: Plain | None = Field(
        None, alias="validate", description="Command that must accept the file (`%s`) first."
    )

    @field_validator("regexp", "insertafter", "insertbefore")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value.encode("utf-8", "surrogateescape"))
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _fits(self) -> LineinfileArgs:
        for one, other in (
            ("insertbefore", "insertafter"),
            ("regexp", "search_string"),
            ("backrefs", "search_string"),
        ):
            if getattr(self, one) and getattr(self, other):
                raise ValueError(f"parameters are mutually exclusive: {one}|{other}")
        if self.state == "present":
            if self.line is None:
                raise ValueError("line is required with state=present")
            if self.backrefs and self.regexp is None:
                raise ValueError("regexp is required with backrefs=true")
        elif self.line is None and self.regexp is None and self.search_string is None:
            raise ValueError("one of line, search_string, or regexp is required with state=absent")
        return self


@dataclass(frozen=True, slots=True)
class Edit:
    """The lines after the edit; `msg` says what was done ("": nothing)."""

    lines: list[bytes]
    msg: str = ""
    found: int | None = None


def edit(lines: list[bytes], args: LineinfileArgs) -> Edit:
    """What the file's lines (with their ends) are to be, as Ansible edits them."""
    line = reveal(args.line or "").encode("utf-8", "surrogateescape")
    if args.state == "absent":
        kept = [one for one in lines if not _goes(one, args, line)]
        found = len(lines) - len(kept)
        return Edit(kept, f"{found} line(s) removed" if found else "", found)
    at, match = _matching(lines, args)
    anchor = -1
    if at == -1:
        at, anchor = _anchors(lines, args, line)
    if at != -1:
        new = _expanded(match, line) if args.backrefs and match is not None else line
        return _replaced(lines, at, new if new.endswith(b"\n") else new + b"\n")
    return Edit(lines) if args.backrefs else _added(lines, args, line, anchor)


def _expanded(match: re.Match[bytes], line: bytes) -> bytes:
    try:
        return match.expand(line)
    except (re.error, IndexError) as error:
        raise ActionFailed(f"the line cannot take the groups of regexp: {error}") from None


def _goes(one: bytes, args: LineinfileArgs, line: bytes) -> bool:
    if args.regexp is not None:
        return re.search(args.regexp.encode("utf-8", "surrogateescape"), one) is not None
    if args.search_string is not None:
        return args.search_string.encode("utf-8", "surrogateescape") in one
    return one.rstrip(b"\r\n") == line


def _matching(lines: list[bytes], args: LineinfileArgs) -> tuple[int, re.Match[bytes] | None]:
    """The line to be replaced; -1 when there is none."""
    at, match = -1, None
    for number, one in enumerate(lines):
        if args.regexp is not None:
            hit = re.search(args.regexp.encode("utf-8", "surrogateescape"), one)
        elif args.search_string is not None:
            text = re.escape(args.search_string.encode("utf-8", "surrogateescape"))
            hit = re.search(text, one)
        else:
            break
        if hit is not None:
            at, match = number, hit
            if args.firstmatch:
                break
    return at, match


def _anchors(lines: list[bytes], args: LineinfileArgs, line: bytes) -> tuple[int, int]:
    """Where exactly this line stands already, and where it would be inserted; -1: nowhere."""
    pattern = None
    if args.insertafter not in {None, "BOF", "EOF"}:
        pattern = args.insertafter
    elif args.insertbefore not in {None, "BOF"}:
        pattern = args.insertbefore
    wanted = None if pattern is None else re.compile(pattern.encode("utf-8", "surrogateescape"))
    at, anchor = -1, -1
    for number, one in enumerate(lines):
        if one.rstrip(b"\r\n") == line:
            at = number
        elif wanted is not None and wanted.search(one):
            anchor = number + 1 if args.insertafter else number
            if args.firstmatch:
                break
    return at, anchor


def _replaced(lines: list[bytes], at: int, new: bytes) -> Edit:
    if lines[at] == new:
        return Edit(lines)
    return Edit([*lines[:at], new, *lines[at + 1 :]], "line replaced")


def _added(lines: list[bytes], args: LineinfileArgs, line: bytes, anchor: int) -> Edit:
    new = line + b"\n"
    if "BOF" in {args.insertbefore, args.insertafter}:
        return Edit([new, *lines], "line added")
    if args.insertafter == "EOF" or anchor == -1:
        closed = [*lines, b"\n"] if lines and not lines[-1].endswith(_ENDS) else lines
        return Edit([*closed, new], "line added")
    if args.insertafter:
        neighbour = lines[anchor - 1] if anchor == len(lines) else lines[anchor]
        if neighbour.rstrip(b"\r\n") == line:
            return Edit(lines)
    return Edit([*lines[:anchor], new, *lines[anchor:]], "line added")


@dataclass(frozen=True, slots=True)
class Found:
    """What the probe saw: the path as given and with links followed, and the content."""

    given: str
    state: PathState
    parent: bool
    rights: Rights
    content: bytes


def probe_script(args: LineinfileArgs) -> str:
    """Prints path, real path, record, whether its folder is there, ids, content in base64."""
    return (
        f"{LOOK}{IDS}p={expanded(args.path)}\n"
        "case $p in -*) p=./$p;; esac\nf=$p\n"
        '[ ! -L "$p" ] || { f=$(readlink -fn -- "$p"; echo x); f=${f%x}; }\n'
        'printf \'%s\\0%s\\0\' "$p" "$f"; nb_look "$f"\n'
        "case $f in */*) d=${f%/*}/;; *) d=.;; esac\n"
        'if [ -d "$d" ]; then printf 1; fi; printf "\\0"\n'
        f"{args.wanted().probe()}"
        'if [ -f "$f" ]; then base64 -w 0 < "$f" || exit; fi; printf "\\0"\n'
    )


def read_found(output: bytes, args: LineinfileArgs) -> Found:
    """The answer to `probe_script`."""
    answer = Answer(output)
    given = answer.text()
    state = answer.state(answer.text())
    parent = answer.flag()
    rights = args.wanted().read(answer)
    return Found(given, state, parent, rights, base64.b64decode(answer.text()))


class LineinfileAction:
    """Adds, replaces or removes a line."""

    spec = ActionSpec(
        name="lineinfile",
        args=LineinfileArgs,
        summary="See to it that a line is in a file, or is not.",
        example="- lineinfile:\n    path: /etc/sysctl.conf\n    regexp: '^vm.swappiness='\n"
        "    line: vm.swappiness=10\n",
        returns={
            "msg": "What was done.",
            "backup": "Where the content before was kept.",
            "found": "How many lines were removed.",
        },
    )

    def run(self, args: LineinfileArgs, ctx: ActionContext) -> Result:
        """Edit what differs; in check mode, say what would be edited."""
        outcome = must(ctx.probe(probe_script(args)), f"reading {args.path}")
        found = read_found(outcome.stdout, args)
        if found.state.is_dir:
            return failed(f"Path {found.given} is a directory !", rc=256)
        if not found.state.exists and args.state == "absent":
            return Result(values={"msg": "file not present"})
        if not found.state.exists and not args.create:
            return failed(f"Destination {found.given} does not exist !", rc=257)
        done = edit(_lines(found.content), args)
        return _conclude(args, found, done, ctx)


def _lines(content: bytes) -> list[bytes]:
    """Lines with their ends; only a newline ends one."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _conclude(args: LineinfileArgs, found: Found, done: Edit, ctx: ActionContext) -> Result:
    content = b"".join(done.lines)
    changes = found.rights.changes(found.state if found.state.exists else _made(found.rights))
    msg = " and ".join(part for part in (done.msg, _RIGHTS if changes else "") if part)
    values: dict[str, Any] = {"msg": msg, "backup": ""}
    if done.found is not None:
        values["found"] = done.found
    diff = _diff(args, found, content) if ctx.diff else None
    if ctx.check and found.state.exists and found.rights.problem:
        return failed(found.rights.problem)
    if ctx.check or not (done.msg or changes):
        return Result(changed=bool(msg), values=values, diff=diff)
    if not done.msg:
        script = f"set -e\nset -- {quote(found.state.path)}\n{found.rights.script(found.state)}"
        must(ctx.act(script), f"setting the rights of {found.given}")
        return Result(changed=True, values=values, diff=diff)
    placed = _write(args, found, content, ctx)
    if isinstance(placed, place.Refused):
        return failed(
            f"failed to validate: rc:{placed.status} error:{placed.stderr}",
            **lines_of("stdout", placed.stdout),
            **lines_of("stderr", placed.stderr),
        )
    return Result(changed=True, values=values | {"backup": placed.backup_file}, diff=diff)


def _made(rights: Rights) -> PathState:
    """A new file, before its rights are set."""
    mode = 0o100666 & ~rights.umask
    return PathState("", True, mode, uid=rights.own_uid, gid=rights.own_gid)


def _write(
    args: LineinfileArgs, found: Found, content: bytes, ctx: ActionContext
) -> place.Placed | place.Refused:
    path, existing = found.state.path, found.state
    plan = place.plan(ctx.stage(content), path, found.rights, existing, backup=args.backup)
    folder = posixpath.dirname(path)
    new = ""
    if not found.parent:
        new = make_folders(folder, replace(found.rights, uid=None, gid=None), None)
    script = place.place_script(
        [plan], args.validate_with, before=new, after=found.rights.complain()
    )
    outcome = ctx.act(script)
    placed = place.read_placed(outcome, [plan])
    return placed if isinstance(placed, place.Refused) else placed[0]


def _diff(args: LineinfileArgs, found: Found, content: bytes) -> Diff:
    header = f"{found.given} (content)"
    if isinstance(args.line, Secret):
        changed = content != found.content
        return Diff(f"{MASK}\n", f"{MASK} (changed)\n" if changed else f"{MASK}\n", header, header)
    return Diff(shown(found.content), shown(content), header, header)
