"""`file`: files, folders and links as they should be, without a word about their content."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from nbops.actions import times
from nbops.actions.api import ActionContext, Diff, Result
from nbops.actions.attrs import IDS, OwnedArgs, Rights
from nbops.actions.outcome import must
from nbops.actions.paths import LINK, LOOK, WALK, Answer, PathState, plain_diff
from nbops.actions.put import make_folders
from nbops.actions.values import Path, Plain
from nbops.actions.words import expanded
from nbops.base.command import quote
from nbops.runbook.spec import ActionSpec

CIRCLE = "Could not recursively set attributes: links in the folder lead in a circle"
State = Literal["absent", "directory", "file", "hard", "link", "touch"]


class FileArgs(OwnedArgs):
    """The arguments of `file`."""

    path: Path = Field(
        description="The path.", validation_alias=AliasChoices("path", "dest", "name")
    )
    state: State | None = Field(
        None, description="What is to be there; when not given, what is there already."
    )
    src: Path | None = Field(None, description="What a link points to.")
    recurse: bool = Field(False, description="Set the rights of everything in the folder too.")
    force: bool = Field(False, description="Link to what is not there; replace a file by a link.")
    follow: bool = Field(True, description="Act on what a link at `path` points to.")
    modification_time: Plain | None = Field(
        None, description="`now` (default of `touch`), `preserve` (of the rest), or a time."
    )
    access_time: Plain | None = Field(None, description="As `modification_time`.")
    modification_time_format: Plain = Field(times.FORMAT, description="How that time is written.")
    access_time_format: Plain = Field(times.FORMAT, description="How that time is written.")

    @model_validator(mode="after")
    def _fits(self) -> FileArgs:
        if self.recurse and self.state not in {None, "directory"}:
            raise ValueError("recurse option requires state to be 'directory'")
        if self.src is not None and self.state not in {"link", "hard"}:
            raise ValueError("src option requires state to be 'link' or 'hard'")
        if self.state == "hard" and self.src is None:
            raise ValueError("src is required for creating new hardlinks")
        if self.mode == "preserve":
            raise ValueError("`preserve` is for copy and template")
        when = set(self.times().values())
        if self.recurse and when != {times.PRESERVE}:
            raise ValueError("times are set on one path: leave out recurse")
        return self

    def times(self) -> dict[str, str]:
        """The times asked for, by touch's option. Raises ValueError when one is none."""
        usual = times.NOW if self.state == "touch" else times.PRESERVE
        given = {
            "-m": (self.modification_time or usual, self.modification_time_format),
            "-a": (self.access_time or usual, self.access_time_format),
        }
        words = {times.NOW, times.PRESERVE}
        return {
            option: one if one in words else times.clock_time(one, form)
            for option, (one, form) in given.items()
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """What the probe saw.

    `there` is the path itself, `real` what it leads to when it is a link, `inside` what is in
    the folder (with `recurse`), `source` what a link is to point to, `empty` whether the folder
    is empty, `times` those asked for, `circle` whether links in the folder lead in a circle.
    """

    there: PathState
    real: PathState
    rights: Rights
    source: PathState
    empty: bool = True
    inside: tuple[PathState, ...] = ()
    times: times.Times = field(default_factory=lambda: times.Times({}, {}))
    circle: bool = False


@dataclass(frozen=True)
class Step:
    """What is to be done: a script that changes something ("": nothing), or why not.

    `path` is what the result speaks of, `before` and `after` what a diff shows.
    """

    path: str
    script: str = ""
    problem: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


def probe_script(args: FileArgs) -> str:
    """Prints the path, what is there, what it leads to, what a link would point to."""
    source = expanded(args.src) if args.src is not None else "''"
    lines = [
        LOOK + LINK + IDS,
        f"p={expanded(args.path)}\n",
        "case $p in -*) p=./$p;; esac\nprintf '%s\\0' \"$p\"\n",
        'nb_look "$p"; nb_link "$p"\n',
        'r=$p; if [ -L "$p" ]; then r=$(readlink -fn -- "$p"; echo x); r=${r%x}; fi\n',
        'printf \'%s\\0\' "$r"; nb_look "$r"\n',
        f"s={source}\n",
        'case $s in /*|"") ;; *) if [ -d "$p" ] && [ ! -L "$p" ]; then s=$p/$s; else\n',
        "case $p in */*) s=${p%/*}/$s;; esac; fi;; esac\n",
        "printf '%s\\0' \"$s\"\n",
        't=$s; if [ -L "$s" ]; then t=$(readlink -fn -- "$s"; echo x); t=${t%x}; fi\n',
        'nb_look "$t"\n',
        args.wanted().probe(),
        times.probe(args.times()),
        WALK,
        'if [ -d "$r" ] && nb_any "$r"; then printf "full\\0"; else printf "\\0"; fi\n',
    ]
    if args.recurse:
        lines.append(f'[ ! -d "$r" ] || nb_walk "$r" "{"1" * args.follow}"\n')
    return "".join(lines)


def read_seen(output: bytes, args: FileArgs) -> Seen:
    """The answer to `probe_script`."""
    answer = Answer(output)
    there = answer.linked(answer.text())
    real = answer.state(answer.text())
    source = answer.state(answer.text())
    rights = args.wanted().read(answer)
    when = times.read(args.times(), answer)
    full = answer.text() == "full"
    inside: list[PathState] = []
    while args.recurse and (path := answer.text()):
        inside.append(answer.state(path))
    circle = bool(inside) and answer.flag()
    return Seen(there, real, rights, source, not full, tuple(inside), when, circle)


class FileAction:
    """Makes, removes, links, and sets rights."""

    spec = ActionSpec(
        name="file",
        args=FileArgs,
        summary="Make, remove or link files and folders, and set their rights.",
        example="- file:\n    path: /opt/nocobase/storage\n    state: directory\n"
        "    mode: '0750'\n",
        returns={
            "path": "The path (`dest` for links and `touch`).",
            "state": "What is there now.",
            "mode": "Its permissions.",
            "owner": "Its user.",
            "group": "Its group.",
            "uid": "The user's number.",
            "gid": "The group's number.",
            "size": "Its size in bytes.",
        },
    )

    def run(self, args: FileArgs, ctx: ActionContext) -> Result:
        """Change what differs; in check mode, say what would be changed."""
        answer = must(ctx.probe(probe_script(args)), f"looking at {args.path}")
        seen = read_seen(answer.stdout, args)
        step = decide(args, seen)
        state = state_of(args, seen)
        key = "dest" if state in {"link", "hard", "touch"} else "path"
        values: dict[str, Any] = {"src": args.src} if state in {"link", "hard"} else {}
        if state == "link" and args.src is None and args.follow:
            values["src"] = seen.there.target
        if step.problem:
            now = seen.real if step.path == seen.real.path else seen.there
            values |= {"path": step.path, **now.attributes()}
            return Result(failed=True, msg=step.problem, values=values)
        if ctx.check and seen.rights.problem and seen.there.exists:
            return Result(failed=True, msg=seen.rights.problem, values=values)
        values[key] = step.path
        now = seen.there if step.path == seen.there.path else seen.real
        if step.script and not ctx.check:
            script = f"{LOOK}set -e\n{step.script}nb_look {quote(step.path)}\n"
            now = Answer(must(ctx.act(script), f"file {step.path}").stdout).state(step.path)
        values |= now.attributes()
        if state == "absent" and not (ctx.check and now.exists):
            values = {"path": step.path, "state": "absent"}
        elif state in {"link", "hard"} and now.exists and not ctx.check:
            values["state"] = state
        return Result(changed=bool(step.script), values=values, diff=_diff(step, ctx))


def _diff(step: Step, ctx: ActionContext) -> Diff | None:
    if not ctx.diff:
        return None
    before, after = ({"path": step.path, **side} for side in (step.before, step.after))
    return Diff(plain_diff(before), plain_diff(after), step.path, step.path)


def decide(args: FileArgs, seen: Seen) -> Step:
    """What is to be done at the path, from what was asked and what is there."""
    there = seen.real if args.follow and seen.there.is_link else seen.there
    match state_of(args, seen):
        case "absent":
            return _absent(seen.there)
        case "touch":
            return _touch(seen)
    step = _decide(args, seen, there)
    stamps = "" if step.problem or not there.exists else seen.times.script(there)
    return (
        replace(step, script=f"{step.script}set -- {quote(there.path)}\n{stamps}")
        if stamps
        else step
    )


def _decide(args: FileArgs, seen: Seen, there: PathState) -> Step:
    if args.recurse and state_of(args, seen) != "directory":
        return Step(seen.there.path, problem="recurse option requires state to be 'directory'")
    match state_of(args, seen):
        case "directory":
            return _directory(seen, there)
        case "link":
            return _link(args, seen)
        case "hard":
            return _hard(args, seen)
    return _file(seen.rights, there)


def state_of(args: FileArgs, seen: Seen) -> State:
    """The state asked for; when none is, that of what is there."""
    if args.state is not None:
        return args.state
    return _present(seen.there) or ("directory" if args.recurse else "file")


def _present(there: PathState) -> State | None:
    match there.kind:
        case "directory":
            return "directory"
        case "link":
            return "link"
        case "absent":
            return None
    return "file"


def _absent(there: PathState) -> Step:
    if not there.exists:
        return Step(there.path)
    if not there.is_dir:
        script = f"rm -f -- {quote(there.path)}\n"
        return Step(there.path, script, "", {"state": there.kind}, {"state": "absent"})
    # With a slash at the end a link to a folder looks like the folder itself, and `rm -rf` would
    # empty what it points to: whether it is one is asked again where it is removed.
    bare = there.path.rstrip("/")
    if not bare:
        return Step(there.path, problem="rmtree failed: the root of the host is never removed")
    script = (
        f"set -- {quote(bare)}\n"
        'if [ -L "$1" ]; then '
        "echo 'rmtree failed: Cannot call rmtree on a symbolic link' >&2; exit 1; fi\n"
        'rm -rf -- "$1"\n'
    )
    return Step(there.path, script, "", {"state": there.kind}, {"state": "absent"})


def _file(rights: Rights, there: PathState) -> Step:
    if not there.exists:
        return Step(there.path, problem=f"file ({there.path}) is absent, cannot continue")
    if there.kind not in {"file", "hard"}:
        return Step(there.path, problem=f"file ({there.path}) is {there.kind}, cannot continue")
    return _rights(rights, there)


def _rights(rights: Rights, *states: PathState) -> Step:
    """Set the rights of paths that are there; the first one is what the result speaks of."""
    script = ""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for state in states:
        lines = rights.script(state)
        script += f"set -- {quote(state.path)}\n{lines}" if lines else ""
        if state is states[0]:
            for key, (now, wanted) in rights.changes(state).items():
                before[key], after[key] = now, wanted
    return Step(states[0].path, script, "", before, after)


def _directory(seen: Seen, there: PathState) -> Step:
    if not there.exists:
        script = make_folders(there.path, seen.rights, seen.rights.mode)
        return Step(there.path, script, "", {"state": "absent"}, {"state": "directory"})
    if not there.is_dir:
        return Step(there.path, problem=f"{there.path} already exists as a {there.kind}")
    step = _rights(seen.rights, there, *seen.inside)
    # The rights are set all the same, as under Ansible.
    fails = f"echo {quote(CIRCLE)} >&2; exit 1\n" if seen.circle else ""
    return replace(step, script=step.script + fails)


def _touch(seen: Seen) -> Step:
    """What is set is what a link leads to; what is told of is the link, as Ansible does."""
    there, path = seen.there, quote(seen.there.path)
    if there.is_link and not seen.real.exists:
        return Step(there.path, problem="Error, could not touch target: a link to nothing")
    if there.exists:
        step = _rights(seen.rights, seen.real if there.is_link else there)
        stamps = seen.times.script(seen.real)
        script = step.script + (f"set -- {path}\n{stamps}" if stamps else "")
        before = {"state": there.kind, **step.before}
        return Step(there.path, script, "", before, {**step.after, "state": "touch"})
    made = PathState(
        there.path,
        True,
        0o100666 & ~seen.rights.umask,
        uid=seen.rights.own_uid,
        gid=seen.rights.own_gid,
    )
    # A file that cannot be what it should is not left behind.
    lines = f"touch -- {path}\ntrap '[ $? = 0 ] || rm -f -- \"$1\"' EXIT\nset -- {path}\n"
    step = _rights(seen.rights, made)
    stamps = (
        ""
        if set(seen.times.asked.values()) <= {times.NOW, times.PRESERVE}
        else (seen.times.script(made))
    )
    after = {**step.after, "state": "touch"}
    return Step(there.path, lines + step.script + stamps, "", {"state": "absent"}, after)


def _link(args: FileArgs, seen: Seen) -> Step:
    there, src = seen.there, args.src
    if src is None:
        if not there.is_link:
            return Step(there.path, problem="src is required for creating new symlinks")
        src = there.target
    elif not seen.source.exists and not args.force:
        return Step(
            there.path,
            problem="src file does not exist, use 'force=yes' if you really want to create "
            f"the link: {seen.source.path}",
        )
    problem = _may_replace(args, seen, "symlink")
    if problem:
        return Step(there.path, problem=problem)
    if there.is_link and there.target == src:
        now = seen.real if args.follow and seen.real.exists else there
        return Step(there.path, _rights(seen.rights, now).script)
    clear = f"rmdir -- {quote(there.path)}\n" if there.is_dir else ""
    script = f"{clear}ln -s -f -n -T -- {quote(src)} {quote(there.path)}\n"
    if not args.follow:
        made = PathState(there.path, True, 0o120777)
        new = replace(made, uid=seen.rights.own_uid, gid=seen.rights.own_gid)
        script += _rights(seen.rights, new).script
    elif seen.source.exists:
        script += _rights(seen.rights, seen.source).script
    return Step(there.path, script, "", {"state": there.kind}, {"state": "link"})


def _hard(args: FileArgs, seen: Seen) -> Step:
    there, source = seen.there, seen.source
    if args.src is not None and not args.src.startswith(("/", "~", "$")):
        return Step(there.path, problem="absolute paths are required")
    if not source.exists:
        return Step(there.path, problem="src does not exist")
    same = (there.inode, there.device) == (source.inode, source.device)
    if there.exists and same:
        return _rights(seen.rights, there)
    problem = _may_replace(args, seen, "hard link")
    if there.kind == "hard" and not args.force:
        problem = "Cannot link, different hard link exists at destination"
    if problem:
        return Step(there.path, problem=problem)
    clear = f"rmdir -- {quote(there.path)}\n" if there.is_dir else ""
    script = f"{clear}ln -f -T -- {quote(source.path)} {quote(there.path)}\n"
    script += _rights(seen.rights, source).script
    return Step(there.path, script, "", {"state": there.kind}, {"state": "hard"})


def _may_replace(args: FileArgs, seen: Seen, kind: str) -> str:
    """Why what is there cannot give way to a link; "" when it can."""
    there = seen.there
    if not there.exists or there.is_link:
        return ""
    if not args.force:
        return f"refusing to convert from {there.kind} to {kind} for {there.path}"
    if there.is_dir and not seen.empty:
        return (
            f"the directory {posixpath.normpath(there.path)} is not empty, refusing to convert it"
        )
    return ""
