"""Whole files on a host, as they are wanted: looked at first, replaced only when different."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nbops.actions.api import ActionContext, Diff
from nbops.base.command import Text, quote
from nbops.base.errors import ActionFailed
from nbops.base.secret import MASK, Secret, reveal

# An environment file, and the settings of a server.
_SETTINGS = (re.compile("([A-Za-z_][A-Za-z0-9_]*=)(.*)"), re.compile("([a-z][a-z0-9-]* +)(.*)"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as it is to be. Of a Secret content only names show in a diff."""

    path: str
    content: Text
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"

    @property
    def mark(self) -> str:
        """What `look_script` prints for a file that is as wanted."""
        digest = hashlib.sha256(reveal(self.content).encode()).hexdigest()
        return f"{digest} {self.mode:o} {self.owner}:{self.group}"


def look_script(paths: Sequence[str]) -> str:
    """Prints a line for each file: checksum, mode, owner and group, or `absent`."""
    return f"""\
for path in {" ".join(map(quote, paths))}; do
    if [ -f "$path" ]; then
        sum=$(sha256sum < "$path") && stat -c "${{sum%% *}} %a %U:%G" "$path" || exit 1
    else
        echo absent
    fi
done
"""


def put_script(files: Iterable[tuple[str, Wanted]]) -> str:
    """Puts staged files (each after its path there) in place, each by one rename."""
    lines = ["set -e"]
    for staged, file in files:
        new = quote(f"{file.path}.nbops-new")
        lines += [
            f"install -m {file.mode:o} -o {quote(file.owner)} -g {quote(file.group)}"
            f" {quote(staged)} {new}",
            f"sync {new}",
            f"mv -f {new} {quote(file.path)}",
        ]
    return "\n".join(lines) + "\n"


def different(ctx: ActionContext, files: Sequence[Wanted]) -> tuple[Wanted, ...]:
    """Those of `files` that are not on the host as they are wanted. Changes nothing."""
    outcome = ctx.probe(look_script([file.path for file in files]))
    found = outcome.out.splitlines()
    if not outcome.ok or len(found) != len(files):
        raise ActionFailed(f"cannot look at the files on {ctx.host}: {outcome.err.strip()}")
    return tuple(file for file, mark in zip(files, found, strict=True) if mark != file.mark)


def stage(ctx: ActionContext, files: Iterable[Wanted]) -> list[tuple[str, Wanted]]:
    """Send the contents to the host; gives each after its path there."""
    return [(ctx.stage(reveal(file.content).encode()), file) for file in files]


def put(ctx: ActionContext, files: Sequence[Wanted]) -> tuple[Wanted, ...]:
    """Bring `files` to the host as they are wanted; gives those that were different.

    In check mode nothing is changed. Raises ActionFailed when a file cannot be written.
    """
    changed = different(ctx, files)
    if changed and not ctx.check:
        outcome = ctx.act(put_script(stage(ctx, changed)))
        if not outcome.ok:
            raise ActionFailed(f"cannot write on {ctx.host}: {outcome.err.strip()}")
    return changed


def diffs(ctx: ActionContext, files: Iterable[Wanted]) -> tuple[Diff, ...]:
    """The differences that putting `files` makes, when the user wants to see them.

    To be called before they are put. Of a secret content only the names of its variables are
    shown, and which of them get another value.
    """
    if not ctx.diff:
        return ()
    return tuple(_diff(_now(ctx, file.path), file) for file in files)


def _diff(now: str, file: Wanted) -> Diff:
    if not isinstance(file.content, Secret):
        return Diff(now, file.content, file.path, file.path)
    return Diff(*names_only(now, file.content.reveal()), file.path, file.path)


def names_only(before: str, after: str) -> tuple[str, str]:
    """Two texts of `NAME=value` or `name value` lines with every value masked; a name whose
    value is another one afterwards is marked. Of any other text nothing is shown."""
    old, new = _values(before), _values(after)
    marks = {name: " (another value)" for name in old.keys() & new.keys() if old[name] != new[name]}
    return (
        "".join(f"{name}{MASK}\n" for name in old),
        "".join(f"{name}{MASK}{marks.get(name, '')}\n" for name in new),
    )


def _values(text: str) -> dict[str, str]:
    """The values of a file of settings by their names, each name with what follows it; the
    whole text under no name when one line is no setting (a private key, a record)."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for shape in _SETTINGS:
        found = [shape.fullmatch(line) for line in lines]
        if all(found):
            return {one[1]: one[2] for one in found if one}
    return {"": text}


def _now(ctx: ActionContext, path: str) -> str:
    outcome = ctx.probe(f"if [ -f {quote(path)} ]; then cat {quote(path)}; fi")
    return outcome.out if outcome.ok else ""
