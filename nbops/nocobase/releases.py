"""Releases: what is deployed, as it is kept on every host of the cluster. Pure.

A release is one JSON file, numbered, never changed once written. The one with the highest
number on any host is the present one; its parent is the release to which `rollback` goes.
`pending.json` is a release on its way: it is there from before the users are sent away until
they are back, so that whoever finds it knows where to go back to.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nbops.base.typed import typed
from nbops.nocobase.cluster import STATE_FOLDER

RELEASE_FORMAT = 1
PENDING = "pending"
_FILE = re.compile(r"(\d{6})\.json")


_SECRET = ("nodes", "files")


@dataclass(frozen=True)
class Release:
    """One release.

    `images` maps what runs (an image, a package) to its digest. `plugins` are those that the
    app is told to have. `database` is the name of the one in use, `backup` the backup from
    which `rollback` restores it (empty: it was not changed). `fingerprint` tells environments
    apart; `when` is UTC, from the run's own name; `phase` is how far a pending one has come.
    `nodes` and `files` hold what runs on each node, as plans and as files by their path: there
    are secrets in them, and they leave the cluster only to be written again.
    """

    number: int
    parent: int | None
    version: str
    images: Mapping[str, str]
    fingerprint: str
    who: str
    when: str
    run: str
    plugins: tuple[str, ...] = ()
    database: str = ""
    backup: str = ""
    phase: str = ""
    nodes: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict, repr=False)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def content(self) -> str:
        """A checksum of what is deployed, whoever deployed it and when."""
        parts = (self.version, self.images, self.fingerprint, self.database, self.files)
        return checksum(json.dumps(parts, sort_keys=True))

    def text(self) -> str:
        """The file's content; the same release is the same text on every host."""
        document = {"format": RELEASE_FORMAT, **asdict(self)}
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    def facts(self) -> dict[str, Any]:
        """What may be shown: all but what holds secrets; the hosts of its nodes, and a checksum
        of what is deployed."""
        shown = {name: value for name, value in asdict(self).items() if name not in _SECRET}
        return shown | {
            "plugins": list(self.plugins),
            "hosts": list(self.nodes),
            "content": self.content,
        }


def read_release(text: str) -> Release:
    """A release from a file's content.

    Raises ValueError when it is none, or of a format that this nbops does not know.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or document.pop("format", None) != RELEASE_FORMAT:
        raise ValueError(f"not a release of format {RELEASE_FORMAT}")
    return typed(Release, document)


def order(version: str) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """What sorts versions: `2.2.0-beta.3` before `2.2.0`."""
    numbers, _, extra = version.removesuffix("-full").partition("-")
    parts = tuple((0, int(one), "") if one.isdigit() else (1, 0, one) for one in extra.split("."))
    return tuple(int(one) for one in numbers.split(".")), (not extra, parts)


def folder(cluster: str) -> str:
    """Where a cluster's releases are, on every host."""
    return f"{STATE_FOLDER}/{cluster}/releases"


def path(cluster: str, number: int | str) -> str:
    """Where one release is, by its number; or the pending one."""
    name = number if isinstance(number, str) else f"{number:06d}"
    return f"{folder(cluster)}/{name}.json"


def numbers(names: Iterable[str]) -> list[int]:
    """The numbers of the releases among the names of a folder's files, in order."""
    return sorted(int(match[1]) for match in map(_FILE.fullmatch, names) if match)


def newest(known: Iterable[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    """Of the facts that hosts gave, those of the present release; None when there is none."""
    there = [facts for facts in known if facts]
    return max(there, key=lambda facts: int(facts["number"]), default=None)


def on_its_way(
    told: Iterable[Mapping[str, Any] | None], present: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Of the notes that hosts gave, that of the release on its way: one that went on further
    first. None when there is none.

    One that is recorded by now, or an earlier one, was left on a host that was away meanwhile.
    """
    recorded = int(present["number"]) if present else 0
    there = [facts for facts in told if facts and int(facts["number"]) > recorded]
    return max(there, key=lambda facts: str(facts["phase"]) == "upgrade", default=None)


@dataclass(frozen=True, slots=True)
class WayBack:
    """Where a rollback goes, and the backup that brings the database there (empty: it is as it
    was, and is not touched)."""

    target: Mapping[str, Any]
    backup: str


def way_out(
    command: str, pending: Mapping[str, Any] | None, release: Mapping[str, Any] | None
) -> str:
    """The command that ends, from any computer, what a run of `command` left half-way; empty
    when it left nothing. `pending` is the release that was on its way, `release` the present
    one."""
    if pending:
        return "rollback"
    name = command.replace("-", " ")
    if name in {"maintenance on", "maintenance off"}:
        return "maintenance off"
    if name == "deploy" and release is None:
        return "deploy"
    # They leave no note of where to go back to: the release that is recorded it is.
    return "start" if name in {"deploy", "start", "stop", "restart"} else ""


def way_back(
    known: Iterable[Mapping[str, Any]], current: Mapping[str, Any], to: int | None
) -> WayBack:
    """The way from the current release to an earlier one: to its parent, or to the number
    `to`, which must be on the line of its parents.

    The first release on the way that has a backup took it when the target's data were still
    in use, so that is the one to restore. Raises ValueError, with the reason, when there is
    no such way.
    """
    by_number = {int(one["number"]): one for one in known}
    line = [current]
    while line[-1]["number"] != to or len(line) == 1:
        parent = line[-1]["parent"]
        if parent is None:
            raise ValueError(_no_way(line, to))
        if int(parent) not in by_number:
            raise ValueError(f"the record of release {parent} is on no host any more")
        line.append(by_number[int(parent)])
        if to is None:
            break
    target = line[-1]
    backups = [str(one["backup"]) for one in reversed(line[:-1]) if one["backup"]]
    if backups:
        return WayBack(target, backups[0])
    if (current["version"], list(current["plugins"])) != (
        target["version"],
        list(target["plugins"]),
    ) and current["phase"] != "maintenance":
        raise ValueError(
            f"release {current['number']} changed the database and has no backup of what was before"
        )
    return WayBack(target, "")


def _no_way(line: Sequence[Mapping[str, Any]], to: int | None) -> str:
    numbers = [int(one["number"]) for one in line]
    if to is None:
        return f"there is none before release {numbers[0]} to go back to"
    on_line = ", ".join(str(number) for number in numbers[1:]) or "none"
    return f"release {to} is not one that release {numbers[0]} came from ({on_line})"


def moment(run: str) -> str:
    """When a run began, from its name: `20261123T084733Z-1a2b3c`; the name itself otherwise."""
    match = re.match(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", run)
    return "{}-{}-{}T{}:{}:{}Z".format(*match.groups()) if match else run


def checksum(text: str) -> str:
    """A checksum of a release's text."""
    return hashlib.sha256(text.encode()).hexdigest()
