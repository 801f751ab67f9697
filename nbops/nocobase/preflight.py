"""What could stop a deploy, found before anything is changed. Pure: one script for a host,
its answer read, and findings made of it, each with what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nbops.base.command import quote

_COMPOSE_LEAST = (2, 0)


@dataclass(frozen=True, slots=True)
class Space:
    """Room that must be free where `path` is, or will be. In MiB."""

    path: str
    least: int


@dataclass(frozen=True, slots=True)
class Port:
    """A port that must be free, or held by one of the programs that are ours."""

    number: int
    ours: Sequence[str]


@dataclass(frozen=True)
class Needs:
    """What a host must have for what it is to be."""

    programs: Mapping[str, str] = field(default_factory=dict)
    space: Sequence[Space] = ()
    ports: Sequence[Port] = ()
    storage: str = ""
    docker: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that would stop the run, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


def look_script(needs: Needs) -> str:
    """Prints `key<TAB>value` lines; changes nothing on the host."""
    return "\n".join(
        [
            'say() { printf \'%s\\t%s\\n\' "$1" "$2"; }',
            'say uid "$(id -u)"',
            *(
                f"command -v {quote(name)} >/dev/null 2>&1 || say missing {quote(name)}"
                for name in needs.programs
            ),
            *(_space(one) for one in needs.space),
            *(_port(one.number) for one in needs.ports),
            *_storage(needs.storage),
            *_docker(needs.docker),
            "exit 0\n",
        ]
    )


def read_look(output: str) -> list[tuple[str, str]]:
    """The answer of `look_script`: keys and values, in order; keys may repeat."""
    pairs = (line.partition("\t") for line in output.splitlines())
    return [(key, value) for key, tab, value in pairs if tab]


def findings(needs: Needs, seen: Iterable[tuple[str, str]]) -> list[Finding]:
    """All that is wrong on a host, from what was seen there."""
    found: list[Finding] = []
    for key, value in seen:
        found += _JUDGES[key](needs, value) if key in _JUDGES else []
    return found


def _space(one: Space) -> str:
    # The folder may not be there yet: its nearest parent is on the same disk.
    return f"""\
at={quote(one.path)}
while [ ! -d "$at" ]; do at=$(dirname "$at"); done
say space {quote(f"{one.path}:")}"$(df -Pk "$at" | awk 'NR == 2 {{ print int($4 / 1024) }}')\""""


def _port(number: int) -> str:
    return (
        f"say port {number}:\"$(ss -Hltnp 'sport = :{number}' 2>/dev/null |"
        " sed -n 's/.*users:((\"\\([^\"]*\\)\".*/\\1/p' | sort -u | tr '\\n' ' ')\""
    )


def _storage(path: str) -> list[str]:
    return [f"[ -d {quote(path)} ] || say storage absent"] if path else []


def _docker(wanted: bool) -> list[str]:
    if not wanted:
        return []
    return [
        "say docker \"$(docker version --format '{{.Server.Version}}' 2>/dev/null)\"",
        'say compose "$(docker compose version --short 2>/dev/null)"',
    ]


def _judge_uid(_needs: Needs, value: str) -> list[Finding]:
    if value == "0":
        return []
    return [
        Finding(
            "this login is not root",
            "set `ansible_become: true` in the inventory, or log in as root",
        )
    ]


def _judge_missing(needs: Needs, name: str) -> list[Finding]:
    return [Finding(f"`{name}` is not installed", needs.programs[name])]


def _judge_space(needs: Needs, value: str) -> list[Finding]:
    path, _, free = value.rpartition(":")
    least = next(one.least for one in needs.space if one.path == path)
    if not free.isdigit() or int(free) >= least:
        return []
    return [Finding(f"only {free} MiB are free for {path}", f"make room: {least} MiB are needed")]


def _judge_port(needs: Needs, value: str) -> list[Finding]:
    number, _, holders = value.partition(":")
    port = next(one for one in needs.ports if str(one.number) == number)
    strangers = [holder for holder in holders.split() if holder not in port.ours]
    if not strangers:
        return []
    return [
        Finding(
            f"port {number} is taken by `{strangers[0]}`",
            "stop it, or set another port in the inventory",
        )
    ]


def _judge_storage(needs: Needs, _value: str) -> list[Finding]:
    return [
        Finding(
            f"the shared storage {needs.storage} is not there",
            "mount it on every node, or set storage.path to where it is",
        )
    ]


def _judge_docker(_needs: Needs, version: str) -> list[Finding]:
    if version:
        return []
    return [
        Finding(
            "Docker does not run",
            "`systemctl enable --now docker`; on Debian `apt-get install docker.io docker-compose`",
        )
    ]


def _judge_compose(_needs: Needs, version: str) -> list[Finding]:
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) >= _COMPOSE_LEAST:
        return []
    return [
        Finding(
            f"Docker Compose is {version or 'not there'}",
            "version 2 is needed: `apt-get install docker-compose` on Debian 13,"
            " `docker-compose-plugin` from Docker",
        )
    ]


_JUDGES = {
    "uid": _judge_uid,
    "missing": _judge_missing,
    "space": _judge_space,
    "port": _judge_port,
    "storage": _judge_storage,
    "docker": _judge_docker,
    "compose": _judge_compose,
}
