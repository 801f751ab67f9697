"""Releases: what is deployed, as it is kept on every host of the cluster. Pure.

A release is one JSON file, numbered, never changed once written. The one with the highest
number on any host is the present one; its parent is the release to which `rollback` goes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nbops.nocobase.cluster import STATE_FOLDER

RELEASE_FORMAT = 1
_FILE = re.compile(r"(\d{6})\.json")


@dataclass(frozen=True)
class Release:
    """One release. `files` holds each node's files (environment, compose file…) by their path:
    they hold secrets, and leave the cluster only to be written again.

    `fingerprint` tells environments apart; `when` is UTC, from the run's own name.
    """

    number: int
    parent: int | None
    version: str
    image: str
    digest: str
    fingerprint: str
    who: str
    when: str
    run: str
    files: Mapping[str, Mapping[str, str]] = field(repr=False)

    @property
    def content(self) -> str:
        """A checksum of what is deployed, whoever deployed it and when."""
        parts = (self.version, self.image, self.digest, self.fingerprint, self.files)
        return checksum(json.dumps(parts, sort_keys=True))

    def text(self) -> str:
        """The file's content; the same release is the same text on every host."""
        document = {"format": RELEASE_FORMAT, **asdict(self)}
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    def facts(self) -> dict[str, Any]:
        """What may be shown: all but the files, and a checksum of what is deployed."""
        shown = {name: value for name, value in asdict(self).items() if name != "files"}
        return shown | {"content": self.content}


def read_release(text: str) -> Release:
    """A release from a file's content.

    Raises ValueError when it is none, or of a format that this nbops does not know.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or document.pop("format", None) != RELEASE_FORMAT:
        raise ValueError(f"not a release of format {RELEASE_FORMAT}")
    try:
        return Release(**document)
    except TypeError as error:
        raise ValueError(f"not a whole release: {error}") from None


def folder(cluster: str) -> str:
    """Where a cluster's releases are, on every host."""
    return f"{STATE_FOLDER}/{cluster}/releases"


def path(cluster: str, number: int) -> str:
    """Where one release is."""
    return f"{folder(cluster)}/{number:06d}.json"


def numbers(names: Iterable[str]) -> list[int]:
    """The numbers of the releases among the names of a folder's files, in order."""
    return sorted(int(match[1]) for match in map(_FILE.fullmatch, names) if match)


def newest(known: Iterable[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    """Of the facts that hosts gave, those of the present release; None when there is none."""
    there = [facts for facts in known if facts]
    return max(there, key=lambda facts: int(facts["number"]), default=None)


def moment(run: str) -> str:
    """When a run began, from its name: `20261123T084733Z-1a2b3c`; the name itself otherwise."""
    match = re.match(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", run)
    return "{}-{}-{}T{}:{}:{}Z".format(*match.groups()) if match else run


def checksum(text: str) -> str:
    """A checksum of a release's text."""
    return hashlib.sha256(text.encode()).hexdigest()
