"""What is at a path on a host: one script asks, one dataclass holds the answer."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nbops.base.errors import ActionFailed

# %f raw mode, %h links, %u %g ids, %U %G names, %s size, then what only `stat` shows.
_FORMAT = r"%f\0%h\0%u\0%g\0%U\0%G\0%s\0%i\0%d\0%t\0%T\0%.9X\0%.9Y\0%.9Z\0%b\0%o\0"
_FIELDS = _FORMAT.count(r"\0")

# `nb_look PATH` prints the record of a path itself (a link is not followed), or `-`.
LOOK = (
    'nb_look() { if [ -e "$1" ] || [ -L "$1" ]; then printf \'+\\0\'; '
    f"stat --printf='{_FORMAT}' -- \"$1\"; else printf -- '-\\0'; fi; }}\n"
)
# `nb_link PATH` prints where a link points to; the x keeps newlines at the end.
LINK = (
    'nb_link() { if [ -L "$1" ]; then t=$(readlink -n -- "$1"; echo x); '
    "printf '%s\\0' \"${t%x}\"; else printf '\\0'; fi; }\n"
)
# `nb_sum PATH SIZE` prints the sha1 of a readable plain file of that size (any size: empty).
SUM = (
    'nb_sum() { if [ -f "$1" ] && [ -r "$1" ] && '
    '{ [ -z "$2" ] || [ "$(stat -L -c %s -- "$1")" = "$2" ]; }; '
    "then s=$(sha1sum < \"$1\"); printf '%s\\0' \"${s%% *}\"; else printf '\\0'; fi; }\n"
)
# `nb_walk FOLDER FOLLOW` prints path and record of everything in it, and an empty path at the
# end, then 1 if links lead in a circle. Links to folders are entered only with a FOLLOW that is
# not empty; what a link leads to comes after it then. `nb_any FOLDER` tells whether there is
# anything.
WALK = (
    'nb_into() { for f in "$1"/* "$1"/.[!.]* "$1"/..?*; do '
    '[ -e "$f" ] || [ -L "$f" ] || continue; printf \'%s\\0\' "$f"; nb_look "$f"; '
    'if [ -L "$f" ]; then [ -z "$follow" ] || nb_lead "$f" "$@"; '
    'elif [ -d "$f" ]; then nb_into "$f" "$@"; fi; done; }\n'
    'nb_lead() { t=$(readlink -n -- "$1"; echo x); t=${t%x}; '
    'case $t in /*) ;; *) t=${1%/*}/$t;; esac; shift; [ -e "$t" ] || return 0; '
    'for above in "$@"; do [ "$t" -ef "$above" ] && { circle=1; return 0; }; done; '
    'set -- "$t" "$@"; [ ! -d "$1" ] || nb_into "$@"; printf \'%s\\0\' "$1"; nb_look "$1"; }\n'
    'nb_walk() { follow=$2; circle=; nb_into "$1"; printf \'\\0%s\\0\' "$circle"; }\n'
    'nb_any() { for f in "$1"/* "$1"/.[!.]* "$1"/..?*; do '
    '[ -e "$f" ] || [ -L "$f" ] || continue; return 0; done; return 1; }\n'
)


@dataclass(frozen=True, slots=True)
class PathState:
    """What stands at a path. `mode` holds type and permission bits, as `st_mode` does.

    Times are seconds since the epoch. `target` is where a link points to; `sha1` is set
    when it was asked for and the path is a readable plain file.
    """

    path: str
    exists: bool = False
    mode: int = 0
    links: int = 0
    uid: int = 0
    gid: int = 0
    owner: str = ""
    group: str = ""
    size: int = 0
    inode: int = 0
    device: int = 0
    major: int = 0
    minor: int = 0
    atime: float = 0.0
    mtime: float = 0.0
    ctime: float = 0.0
    blocks: int = 0
    block_size: int = 0
    target: str = ""
    sha1: str = ""

    @property
    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self.exists and stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file."""
        return self.exists and stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.exists and stat.S_ISLNK(self.mode)

    @property
    def permissions(self) -> int:
        """The permission bits alone."""
        return stat.S_IMODE(self.mode)

    @property
    def kind(self) -> str:
        """Ansible's word for it: absent, link, directory, hard (several names) or file."""
        if not self.exists:
            return "absent"
        if self.is_link:
            return "link"
        if self.is_dir:
            return "directory"
        return "hard" if self.links > 1 else "file"

    def attributes(self) -> dict[str, Any]:
        """Owner, group, mode, size and state under the names that Ansible returns."""
        if not self.exists:
            return {}
        return {
            "uid": self.uid,
            "gid": self.gid,
            "owner": self.owner,
            "group": self.group,
            "mode": f"0{self.permissions:03o}",
            "state": self.kind,
            "size": self.size,
        }


class Answer:
    """Reads the NUL-separated fields that a script printed, one after the other."""

    def __init__(self, output: bytes) -> None:
        self._fields: Iterator[bytes] = iter(output.split(b"\0"))

    def text(self) -> str:
        """The next field. Raises ActionFailed when the output ended early."""
        field = next(self._fields, None)
        if field is None:
            raise ActionFailed("the host's answer was cut short")
        return field.decode("utf-8", "surrogateescape")

    def flag(self) -> bool:
        """The next field as a truth value: `1` or anything else."""
        return self.text() == "1"

    def state(self, path: str) -> PathState:
        """The record that `nb_look` printed."""
        if self.text() != "+":
            return PathState(path)
        raw = [self.text() for _ in range(_FIELDS)]
        mode, links, uid, gid, owner, group, size, inode, device, major, minor = raw[:11]
        return PathState(
            path=path,
            exists=True,
            mode=int(mode, 16),
            links=int(links),
            uid=int(uid),
            gid=int(gid),
            owner=uid if owner == "UNKNOWN" else owner,
            group=gid if group == "UNKNOWN" else group,
            size=int(size),
            inode=int(inode),
            device=int(device),
            major=int(major, 16),
            minor=int(minor, 16),
            atime=float(raw[11]),
            mtime=float(raw[12]),
            ctime=float(raw[13]),
            blocks=int(raw[14]),
            block_size=int(raw[15]),
        )

    def summed(self, path: str) -> PathState:
        """The records that `nb_look` and `nb_sum` printed."""
        return replace(self.state(path), sha1=self.text())

    def linked(self, path: str) -> PathState:
        """The records that `nb_look` and `nb_link` printed."""
        return replace(self.state(path), target=self.text())


def plain_diff(state: Mapping[str, Any]) -> str:
    """A mapping as text that differs line by line."""
    return "".join(f"{key}: {value}\n" for key, value in sorted(state.items()))
