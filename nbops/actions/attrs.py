"""Mode, owner and group of a path: what is wanted, what differs, how it is set."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field, field_validator

from nbops.actions.paths import Answer, PathState
from nbops.actions.values import Mode, Plain
from nbops.base.command import quote
from nbops.runbook.spec import Args

_CLAUSE = re.compile(r"(a?|[ugo]+)((?:[-+=][rwxXstugo]*)*)\Z")
_STEP = re.compile(r"([-+=])([rwxXstugo]*)")
_RWX = {"r": 4, "w": 2, "x": 1}
_SHIFT = {"u": 6, "g": 3, "o": 0}
_SPECIAL = {"u": ("s", 0o4000), "g": ("s", 0o2000), "o": ("t", 0o1000)}
_ALL = 0o7777

IDS = (
    "nb_uid() { case $1 in *[!0-9]*|'') id -u -- \"$1\" 2>/dev/null || :;; "
    "*) printf '%s' \"$1\";; esac; printf '\\0'; }\n"
    "nb_gid() { case $1 in *[!0-9]*|'') "
    'g=$(getent group -- "$1" 2>/dev/null) || g=; g=${g#*:}; g=${g#*:}; '
    "printf '%s' \"${g%%:*}\";; *) printf '%s' \"$1\";; esac; printf '\\0'; }\n"
)


class OwnedArgs(Args):
    """The arguments that say whose a path is and who may use it."""

    mode: Mode = Field(
        None, description="Permissions: octal in quotes ('0644'), symbolic (u+x,go-w)."
    )
    owner: Plain | None = Field(None, description="User, by name or number.")
    group: Plain | None = Field(None, description="Group, by name or number.")

    @field_validator("mode")
    @classmethod
    def _valid_mode(cls, value: str | None) -> str | None:
        if value is not None and value != "preserve":
            apply_mode(0, value, folder=False, umask=0)
        return value

    def wanted(self) -> Wanted:
        """These arguments as a value."""
        return Wanted(self.mode, self.owner, self.group)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Permissions, user and group asked for; None: as it is."""

    mode: str | None = None
    owner: str | None = None
    group: str | None = None

    def probe(self) -> str:
        """Script lines (after `IDS`) that print umask, own ids and the ids wanted."""
        return (
            'printf \'%s\\0%s\\0%s\\0\' "$(umask)" "$(id -u)" "$(id -g)"\n'
            + (f"nb_uid {quote(self.owner)}\n" if self.owner is not None else "")
            + (f"nb_gid {quote(self.group)}\n" if self.group is not None else "")
        )

    def read(self, answer: Answer) -> Rights:
        """What `probe` printed. A user or group that is not there is the rights' problem."""
        own = Rights(
            None, None, None, int(answer.text(), 8), int(answer.text()), int(answer.text())
        )
        user = answer.text().strip() if self.owner is not None else None
        group = answer.text().strip() if self.group is not None else None
        if user == "":
            return replace(own, problem=f"chown failed: failed to look up user {self.owner}")
        own = replace(own, uid=None if user is None else int(user))
        if group == "":
            return replace(own, problem=f"chgrp failed: failed to look up group {self.group}")
        return replace(own, mode=self.mode, gid=None if group is None else int(group))


AS_IT_IS = Wanted()


@dataclass(frozen=True, slots=True)
class Rights:
    """Wanted permissions with names resolved on the host, and what the host uses by itself.

    With a `problem` (there is no such user) only what is set before it comes to that is here:
    everything is done as far as Ansible goes, and fails there.
    """

    mode: str | None = None
    uid: int | None = None
    gid: int | None = None
    umask: int = 0o022
    own_uid: int = 0
    own_gid: int = 0
    problem: str = ""

    def complain(self) -> str:
        """The line of a script that ends with the problem; "" when there is none."""
        return f"echo {quote(self.problem)} >&2; exit 1\n" if self.problem else ""

    def final_mode(self, current: int, *, folder: bool) -> int:
        """The permission bits that a path with `current` is to have."""
        if self.mode is None:
            return current
        return apply_mode(current, self.mode, folder=folder, umask=self.umask)

    def changes(self, state: PathState) -> dict[str, tuple[Any, Any]]:
        """What differs at an existing path: Ansible's key → (now, wanted)."""
        found: dict[str, tuple[Any, Any]] = {}
        if self.uid is not None and self.uid != state.uid:
            found["owner"] = (state.uid, self.uid)
        if self.gid is not None and self.gid != state.gid:
            found["group"] = (state.gid, self.gid)
        if self.mode is not None and not state.is_link:
            wanted = self.final_mode(state.permissions, folder=state.is_dir)
            if wanted != state.permissions:
                found["mode"] = (f"{state.permissions:04o}", f"{wanted:04o}")
        if self.problem:
            found["problem"] = ("", self.problem)
        return found

    def script(self, state: PathState) -> str:
        """Commands that make those changes to the path in `$1`; "" when nothing differs."""
        changes = self.changes(state)
        lines = set_owner(self.uid, self.gid, changes.keys()) if changes else []
        # A change of owner clears setuid and setgid, so the mode comes after it, always.
        if changes and self.mode is not None and not state.is_link:
            mode = self.final_mode(state.permissions, folder=state.is_dir)
            lines.append(f'chmod {mode:05o} -- "$1"')
        return "".join(f"{line}\n" for line in lines) + self.complain()


def set_owner(uid: int | None, gid: int | None, changed: Container[str]) -> list[str]:
    """The command that sets user and group of the path in `$1`, where they are to change."""
    user = "" if uid is None or "owner" not in changed else str(uid)
    group = "" if gid is None or "group" not in changed else f":{gid}"
    return [f'chown -h {user}{group} -- "$1"'] if user or group else []


def apply_mode(current: int, spec: str, *, folder: bool, umask: int) -> int:
    """Permission bits after `spec` (octal or symbolic, as Ansible reads it) was applied.

    Raises ValueError when it is neither.
    """
    octal = _octal(spec)
    if octal is not None:
        return octal
    mode = current
    for clause in spec.split(","):
        match = _CLAUSE.match(clause)
        if not match:
            raise ValueError(f"`{spec}` is not a file mode: write '0644' or u=rw,g+r")
        who = "ugo" if match[1] in {"", "a"} else match[1]
        mask = 0 if match[1] else umask
        for operator, what in _STEP.findall(match[2]):
            for one in who:
                mode = _apply(mode, one, operator, what, folder=folder, umask=mask)
    return mode


def _octal(spec: str) -> int | None:
    try:
        mode = int(spec, 8)
    except ValueError:
        return None
    if not 0 <= mode <= _ALL:
        raise ValueError(f"`{spec}` is not a file mode: it has more than 07777")
    return mode


def _apply(mode: int, one: str, operator: str, what: str, *, folder: bool, umask: int) -> int:
    """`mode` after one step for one of user, group and others."""
    shift = _SHIFT[one]
    bits = 0
    for letter in what:
        if letter in _RWX:
            bits |= _RWX[letter] << shift & ~umask
        elif letter in _SHIFT:
            bits |= (mode >> _SHIFT[letter] & 7) << shift
        elif letter == "X" and (folder or mode & 0o111):
            bits |= 1 << shift
        elif letter == _SPECIAL[one][0]:
            bits |= _SPECIAL[one][1]
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    return mode & ~(7 << shift | _SPECIAL[one][1]) | bits
