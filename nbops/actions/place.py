"""Putting staged content in place: whole or not at all, with its rights from the first moment."""

from __future__ import annotations

import hashlib
import posixpath
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from nbops.actions.attrs import Rights
from nbops.actions.paths import LOOK, Answer, PathState
from nbops.actions.words import expanded
from nbops.base.command import Outcome, quote
from nbops.base.errors import ActionFailed

_REFUSED = 65
_NO_CHECKER = 71
_MARK = b"\0placed\0"

# nb_place STAGED TEMPORARY DEST MODE OWNER KEEP BACKUP: the temporary file lies beside DEST, so
# that the rename is one step; O_EXCL (set -C) refuses a link that somebody put there.
# OWNER must be set, KEEP is what the file had before and is set where the user may do so.
# nb_x is a further file to be removed at the end.
_PLACE = r"""nb_place() {
nb_t=$2; rm -f -- "$2" && (umask 077; set -C; cat -- "$1" > "$2") || exit
trap 'rm -f -- "$nb_t" ${nb_x:+"$nb_x"}' EXIT
[ -z "$6" ] || chown "$6" -- "$2" 2>/dev/null || :
[ -z "$5" ] || chown "$5" -- "$2" || exit
chmod "$4" -- "$2" || exit
nb_check "$2"
b=
if [ "$7" = 1 ] && [ -e "$3" ]; then
b=$3.$$.$(date '+%Y-%m-%d@%H:%M:%S~'); cp -p -- "$3" "$b" || exit
fi
mv -f -T -- "$2" "$3" || exit
trap - EXIT; [ -z "$nb_x" ] || rm -f -- "$nb_x"
printf '\0placed\0%s\0' "$b"
nb_look "$3"
}
"""


@dataclass(frozen=True, slots=True)
class Placement:
    """One file to be put in place, as the decision left it.

    `owner` (as chown reads it; may be empty) must be set, `keep` is set where possible.
    """

    staged: str
    dest: str
    mode: int
    owner: str = ""
    keep: str = ""
    backup: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """What stands at the destination now, and where the old content was kept."""

    state: PathState
    backup_file: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The validation command's status and output; the destination was not touched."""

    status: int
    stdout: str
    stderr: str


def plan(
    staged: str, dest: str, rights: Rights, existing: PathState, *, backup: bool = False
) -> Placement:
    """How a file is put at `dest`: what is not asked for stays as it was there, and a new file
    is made as the host's umask says."""
    kept = existing.exists and not existing.is_link
    base = existing.permissions if kept else 0o666 & ~rights.umask
    uid, gid = (existing.uid, existing.gid) if kept else (rights.own_uid, rights.own_gid)
    user = "" if rights.uid is None else str(rights.uid)
    group = "" if rights.gid is None else f":{rights.gid}"
    return Placement(
        staged=staged,
        dest=dest,
        mode=rights.final_mode(base, folder=False),
        owner=user + group,
        keep=f"{uid}:{gid}",
        backup=backup,
    )


def place_script(
    files: Sequence[Placement], validate: str | None = None, *, before: str = "", after: str = ""
) -> str:
    """The script that puts the files in place, one after the other, with lines around it."""
    lines = [LOOK, _PLACE, check_function(validate), "nb_x=\n", before]
    return "".join([*lines, *(_call(file) for file in files), after])


def check_function(validate: str | None) -> str:
    """`nb_check FILE`: runs the validation command on it and ends the script when it fails.

    Raises ActionFailed when the command has no `%s` for the file's path.
    """
    if validate is None:
        return "nb_check() { :; }\n"
    if "%s" not in validate:
        raise ActionFailed(f"validate must contain %s: {validate}")
    words = [_with_path(word) for word in shlex.split(validate)]
    return (
        f"nb_check() {{ command -v {words[0]} >/dev/null || exit {_NO_CHECKER}; "
        f"{' '.join(words)} </dev/null || "
        f"{{ printf '\\0refused\\0%s' \"$?\"; exit {_REFUSED}; }}; }}\n"
    )


def read_placed(outcome: Outcome, files: Sequence[Placement]) -> list[Placed] | Refused:
    """What the script printed. Raises ActionFailed when it failed but for the validation."""
    if outcome.status == _REFUSED and b"\0refused\0" in outcome.stdout:
        said, _, status = outcome.stdout.rpartition(b"\0refused\0")
        # What stands before it are the records of files that passed.
        said = said.rpartition(_MARK)[2] if _MARK in said else said
        return Refused(int(status), said.decode("utf-8", "replace"), outcome.err)
    if outcome.status == _NO_CHECKER:
        raise ActionFailed("Error executing command.", hint="the program of `validate` is missing")
    if not outcome.ok:
        raise ActionFailed(_reason(outcome))
    placed = []
    for file, record in zip(files, outcome.stdout.split(_MARK)[1:], strict=True):
        answer = Answer(record)
        backup = answer.text()
        placed.append(Placed(answer.state(file.dest), backup))
    return placed


def _reason(outcome: Outcome) -> str:
    lines = outcome.err.strip().splitlines()
    return lines[-1] if lines else f"the host's script ended with status {outcome.status}"


def _call(file: Placement) -> str:
    folder = posixpath.dirname(file.dest)
    name = hashlib.sha256(file.dest.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    temporary = posixpath.join(folder, f".nbops-{name}")
    words = [
        file.staged,
        plain_path(temporary),
        plain_path(file.dest),
        f"{file.mode:05o}",
        file.owner,
        file.keep,
        "1" if file.backup else "",
    ]
    return f"nb_place {' '.join(quote(word) for word in words)}\n"


def plain_path(path: str) -> str:
    """A path that no program takes for an option or for standard input."""
    return f"./{path}" if path.startswith("-") else path


def _with_path(word: str) -> str:
    pieces = word.split("%s")
    return '"$1"'.join(expanded(piece.replace("%%", "%")) if piece else "" for piece in pieces)
