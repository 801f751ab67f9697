"""Backups: what is recorded of one, how they are named, which are kept. Pure.

A backup is a folder `<backup.dir>/<cluster>/<name>/<what>/` on the host where it was made:
its files, and `manifest.json`. It is written under another name and renamed when it is whole
and checked, so whatever bears a backup's name is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nbops.base.typed import typed
from nbops.nocobase.releases import moment

BACKUP_FORMAT = 1
MANIFEST = "manifest.json"
PARTIAL = ".partial-"
REASONS = ("manual", "upgrade", "rollback", "restore", "plugin")
KINDS = ("database", "files", "redis")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_FILE = re.compile(r"\w[\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MIB = 1 << 20
_LEAST_ROOM = 64


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a backup. Of a dump: which database, the sub-application that it belongs to
    (empty: the app itself), how many tables, and how large it was on the server."""

    file: str
    size: int
    sha256: str
    database: str = ""
    application: str = ""
    tables: int = 0
    held: int = 0


@dataclass(frozen=True)
class Manifest:
    """What is recorded of the files of one backup on one host. `what` is one of
    `KINDS`; `version` is that of the app; `server` and `tool` are major versions; `verified`
    says how far the dump was tried: `list`, or `restore`; `order` grows with each backup that is
    made on the host."""

    name: str
    what: str
    cluster: str
    reason: str
    run: str
    who: str
    when: str
    host: str
    version: str
    parts: tuple[Part, ...]
    dialect: str = ""
    server: int = 0
    tool: int = 0
    verified: str = ""
    release: int | None = None
    order: int = 0

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(part.size for part in self.parts)

    def text(self) -> str:
        """The content of `manifest.json`."""
        return json.dumps({"format": BACKUP_FORMAT, **asdict(self)}, indent=1, sort_keys=True)

    def facts(self) -> dict[str, Any]:
        """What a runbook sees."""
        return asdict(self) | {"size": self.size}


def read_manifest(text: str) -> Manifest:
    """A manifest from a file's content. What of it becomes a path stays in the backup's folder,
    on the host, on others that get a copy, and on this computer: a host may lie.

    Raises ValueError when it is none, or of a format that this nbops does not know.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or document.pop("format", None) != BACKUP_FORMAT:
        raise ValueError(f"not a backup of format {BACKUP_FORMAT}")
    manifest = typed(Manifest, document)
    if faults := _faults(manifest):
        raise ValueError("; ".join(faults))
    return manifest


def _faults(manifest: Manifest) -> list[str]:
    faults = [] if is_name(manifest.name) else ["name: no name of a backup"]
    if manifest.what not in KINDS:
        faults.append(f"what: none of {', '.join(KINDS)}")
    if not manifest.parts:
        faults.append("parts: none")
    for number, part in enumerate(manifest.parts):
        if not _FILE.fullmatch(part.file) or part.file == MANIFEST:
            faults.append(f"parts.{number}.file: no plain name of a file")
        if not _SHA256.fullmatch(part.sha256):
            faults.append(f"parts.{number}.sha256: no checksum")
        if part.size < 0:
            faults.append(f"parts.{number}.size: less than nothing")
    return faults


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the backups of a cluster are on a host."""

    dir: str
    cluster: str

    @property
    def folder(self) -> str:
        """The folder of all of them."""
        return f"{self.dir.rstrip('/')}/{self.cluster}"

    def of(self, name: str, what: str) -> str:
        """The folder of one of them, there only when it is whole."""
        return f"{self.folder}/{name}/{what}"

    def partial(self, name: str, what: str) -> str:
        """The folder in which one is being written."""
        return f"{self.folder}/{PARTIAL}{name}-{what}"


def backup_name(run: str, reason: str) -> str:
    """The name of the backup that a run makes for a reason: the same when it is asked again."""
    return f"{run}-{reason}"


def is_name(text: str) -> bool:
    """Whether a text can be the name of a backup, and so stand in a path."""
    return bool(_NAME.fullmatch(text))


@dataclass(frozen=True)
class Backup:
    """A backup as it is on all hosts together, by its name."""

    name: str
    manifests: Sequence[Manifest] = field(repr=False)

    @property
    def database(self) -> Manifest | None:
        """The part with the dumps; a backup without it cannot be restored."""
        return next((one for one in self.manifests if one.what == "database"), None)

    @property
    def age(self) -> tuple[int, str]:
        """What sorts backups by when they were made: the order on the host of the database,
        then the time in the name, of backups of a nbops that noted no order."""
        parts = [self.database] if self.database else self.manifests
        return max(one.order for one in parts), self.name

    @property
    def when(self) -> str:
        """When its run began, in UTC."""
        return moment(self.name)

    def facts(self) -> dict[str, Any]:
        """What is shown of it."""
        first = self.database or self.manifests[0]
        return {
            "name": self.name,
            "when": first.when,
            "reason": first.reason,
            "version": first.version,
            "size": sum(one.size for one in self.manifests),
            "verified": first.verified,
            "holds": sorted({one.what for one in self.manifests}),
            "hosts": sorted({one.host for one in self.manifests}),
            "release": first.release,
        }


def next_order(earlier: Iterable[Manifest]) -> int:
    """The `order` of a backup that comes after those on its host. The names alone do not tell
    which one is later: they have the clock of whichever computer began the run."""
    return max((one.order for one in earlier), default=0) + 1


def together(manifests: Iterable[Manifest]) -> list[Backup]:
    """The backups of all hosts, the latest first."""
    named: dict[str, list[Manifest]] = {}
    for one in manifests:
        named.setdefault(one.name, []).append(one)
    found = [Backup(name, tuple(parts)) for name, parts in named.items()]
    return sorted(found, key=lambda one: one.age, reverse=True)


def superfluous(good: Iterable[Manifest], keep: int, protected: Iterable[str]) -> list[str]:
    """The names of the backups that can go, the oldest first, when `keep` are to stay.

    The latest one always stays, whatever `keep` says, and so do those in `protected`: the way
    back of a release.
    """
    ordered = [one.name for one in together(good)]
    spared = {*ordered[: max(1, keep)], *protected}
    return [name for name in reversed(ordered) if name not in spared]


def room_for_dump(held: int, earlier: Sequence[Manifest]) -> int:
    """MiB that must be free where a dump goes, for databases of `held` bytes: by the latest
    dump that there is, else half of what they take on the server."""
    dumps = [one for one in earlier if one.what == "database"]
    last = max(dumps, key=lambda one: (one.order, one.name), default=None)
    there = sum(part.held for part in last.parts) if last else 0
    if last is None or there <= 0:
        return held // 2 // _MIB + _LEAST_ROOM
    return int(last.size * max(1.0, held / there) * 1.5) // _MIB + _LEAST_ROOM


def room_for_restore(held: int) -> int:
    """MiB that must be free on the server for a copy of databases of `held` bytes beside
    them: the copy itself, and the log that is written meanwhile."""
    return held * 3 // 2 // _MIB + _LEAST_ROOM


def bytes_of(size: int) -> str:
    """A size for people: `312 MB`."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
