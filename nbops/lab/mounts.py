"""Reading the box's table of mounts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ESCAPE = re.compile(r"\\([0-7]{3})")
TABLE = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: where, of which kind, with which options of its file system."""

    folder: Path
    kind: str
    options: frozenset[str]


def read_mounts() -> tuple[Mount, ...]:
    """All mounts that this process sees, oldest first."""
    return parse_mounts(TABLE.read_text(encoding="utf-8", errors="surrogateescape"))


def parse_mounts(table: str) -> tuple[Mount, ...]:
    """The mounts in the text of a mountinfo file (proc_pid_mountinfo(5)), in its order."""
    found = []
    for line in table.splitlines():
        fields, _, rest = line.partition(" - ")
        words, kinds = fields.split(), rest.split()
        if len(words) < 6 or len(kinds) < 3:
            continue
        folder = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), words[4])
        found.append(Mount(Path(folder), kinds[0], frozenset(kinds[2].split(","))))
    return tuple(found)


def under(mounts: Sequence[Mount], folder: Path) -> tuple[Path, ...]:
    """Where something is mounted at or below `folder`, in the order in which to unmount."""
    return tuple(mount.folder for mount in reversed(mounts) if mount.folder.is_relative_to(folder))
