"""Preflight: what a host must have, what was seen there, and what is found of it. Values only.

A host is looked at in one round trip (`preflight_script`); what is found is computed from
the looks of all hosts together (`preflight_host`, `preflight_shared`), so that everything is
told at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nbops.base.secret import Secret

DOCKER_ROOT = "docker"
"""The purpose of room for images: where that is, Docker alone knows."""


class Level(StrEnum):
    """How much a finding matters: a problem stops a run, a warning and a note do not."""

    PROBLEM = "problem"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found on a host, and what to do about it."""

    host: str
    level: Level
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}" if self.remedy else self.what

    def as_dict(self) -> dict[str, str]:
        """As it stands in documents and results."""
        return {
            "host": self.host,
            "level": self.level.value,
            "what": self.what,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Space:
    """Room that must be free where `path` is, or will be, in MiB; `purpose` says for what."""

    purpose: str
    path: str
    least: int


@dataclass(frozen=True, slots=True)
class Port:
    """A port that must be free, or held by one of the programs that are ours.

    `container`: a container of this cluster may hold it as well.
    """

    number: int
    purpose: str
    ours: tuple[str, ...] = ()
    container: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A server that a host must reach. `managed`: nbops starts it itself, later in the run."""

    name: str
    host: str
    port: int
    managed: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseNeed:
    """The database, as a node signs in to it; `local`: asked by its owner on its own host."""

    kind: str
    host: str
    port: int
    name: str
    user: str
    password: Secret = field(repr=False)
    managed: bool = False
    local: bool = False


@dataclass(frozen=True, slots=True)
class RedisNeed:
    """A Redis server, with the functions that it serves and their database numbers."""

    functions: tuple[str, ...]
    host: str
    port: int
    numbers: tuple[int, ...]
    user: str = ""
    password: Secret | None = field(default=None, repr=False)
    tls: bool = False
    managed: bool = False

    @property
    def name(self) -> str:
        """What it is called in findings."""
        return f"Redis at {self.host}:{self.port}"


@dataclass(frozen=True)
class Needs:
    """What a host must have for what it is to be.

    `programs` maps a program to how it is got. `processes` is the number of app processes
    (0: no node; -1: as many as the host has cores). `environment` maps the variables of the
    app to their values: they are compared with what runs there, never shown.
    """

    host: str
    roles: tuple[str, ...] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    space: Sequence[Space] = ()
    ports: Sequence[Port] = ()
    processes: int = 0
    runtime: str = ""
    bootstrap: bool = False
    cluster: str = ""
    image: str = ""
    registry_auth: Secret | None = field(default=None, repr=False)
    app_port: int = 0
    folder: str = ""
    storage: str = ""
    plugins: tuple[str, ...] = ()
    targets: Sequence[Target] = ()
    database: DatabaseNeed | None = None
    backup_tool: str = ""
    redis: Sequence[RedisNeed] = ()
    salt: Secret = field(default_factory=lambda: Secret(""), repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_node(self) -> bool:
        """Whether the app is to run here."""
        return "app" in self.roles


@dataclass(frozen=True)
class Look:
    """What was seen on a host: rows of a key and its values, and when, by our own clock."""

    rows: Sequence[tuple[str, ...]] = ()
    began: float = 0.0
    ended: float = 0.0

    def all(self, key: str) -> list[tuple[str, ...]]:
        """The values of every row with this key."""
        return [tuple(row[1:]) for row in self.rows if row[0] == key]

    def one(self, key: str, width: int = 1) -> tuple[str, ...] | None:
        """The first `width` values of the first row with this key, filled up; None: no row."""
        found = self.all(key)
        if not found:
            return None
        return (*found[0], *("",) * width)[:width]

    def text(self, key: str) -> str:
        """The first value of the first row with this key; empty when there is none."""
        row = self.one(key)
        return row[0] if row else ""

    def as_fact(self) -> dict[str, Any]:
        """As plain data, to be kept as a fact of the host."""
        return {"rows": [list(row) for row in self.rows], "began": self.began, "ended": self.ended}


def look_of(fact: Mapping[str, Any]) -> Look:
    """The look that a fact holds."""
    rows = tuple(tuple(str(part) for part in row) for row in fact["rows"])
    return Look(rows, float(fact["began"]), float(fact["ended"]))


def read_look(output: str, began: float, ended: float) -> Look:
    """The answer of the look script: a line for each row, its parts between tabs."""
    rows = (tuple(line.split("\t")) for line in output.splitlines())
    return Look(tuple(row for row in rows if len(row) > 1), began, ended)


@dataclass(frozen=True)
class Situation:
    """All that findings are computed from.

    `version` is the one that the inventory names; `release` the present release, when there
    is one. `adopt`: the user takes over a cluster that was built by hand. `run` is this run.
    """

    cluster: str
    version: str
    image: str
    needs: Mapping[str, Needs]
    looks: Mapping[str, Look]
    release: Mapping[str, Any] | None = None
    adopt: bool = False
    run: str = ""
    package_service: bool = False
    local_plugins: tuple[str, ...] = ()

    @property
    def nodes(self) -> list[str]:
        """The hosts that run the app and were looked at."""
        return [h for h, need in self.needs.items() if need.is_node and h in self.looks]

    @property
    def first(self) -> str:
        """The host for what belongs to none: one that was looked at, so that it is told."""
        return next(iter(self.looks))

    @property
    def begun(self) -> bool:
        """Whether nbops configured a node before: a deploy that was cut off has no release."""
        return any(self.look(host).one("configured") for host in self.nodes)

    def look(self, host: str) -> Look:
        """What was seen on a host."""
        return self.looks[host]
