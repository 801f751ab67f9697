"""What a bare Debian or Ubuntu lacks to run the app, and which packages bring it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nbops.base.command import quote

_SYSTEMS = {"debian", "ubuntu"}
_COMPOSE_LEAST = 2
_NODE_LEAST = 20
_CANDIDATES = ("curl", "docker.io", "docker-cli", "docker-compose-v2", "docker-compose", "nodejs")

LOOK = """\
say() { printf '%s\\t%s\\n' "$1" "$2"; }
[ ! -r /etc/os-release ] || . /etc/os-release
say system "${ID:-unknown} ${ID_LIKE:-}"
say name "${PRETTY_NAME:-an unknown system}"
for name in apt-get curl docker node npm; do
    if command -v "$name" >/dev/null 2>&1; then say has "$name"; fi
done
say compose "$(docker compose version --short 2>/dev/null)"
say docker "$(docker version --format '{{.Server.Version}}' 2>/dev/null)"
say node "$(node --version 2>/dev/null)"
"""


@dataclass(frozen=True)
class Look:
    """What is on a host: its system, the programs that are there, versions that answer."""

    systems: frozenset[str] = frozenset()
    name: str = ""
    has: frozenset[str] = frozenset()
    versions: Mapping[str, int] = field(default_factory=dict)

    def lacks(self, kind: str, *, npm: bool) -> tuple[str, ...]:
        """What is missing for a runtime, in a word each; `npm`: the app comes from npm."""
        missing = ["curl"] * ("curl" not in self.has)
        if kind == "compose":
            missing += ["docker"] * ("docker" not in self.versions)
            missing += ["compose"] * (self.versions.get("compose", 0) < _COMPOSE_LEAST)
        else:
            missing += ["node"] * (self.versions.get("node", 0) < _NODE_LEAST)
            missing += ["npm"] * (npm and "npm" not in self.has)
        return tuple(missing)

    @property
    def known(self) -> bool:
        """Whether packages can be installed there."""
        return bool(self.systems & _SYSTEMS) and "apt-get" in self.has


def read_look(output: str) -> Look:
    """The answer of `LOOK`."""
    pairs = [line.partition("\t")[::2] for line in output.splitlines()]
    told = dict(pairs)
    versions = {name: _major(told.get(name, "")) for name in ("compose", "docker", "node")}
    return Look(
        systems=frozenset(told.get("system", "").split()),
        name=told.get("name", ""),
        has=frozenset(value for key, value in pairs if key == "has"),
        versions={name: major for name, major in versions.items() if major},
    )


def candidates_script() -> str:
    """Prints which version of each package that may be of use could be installed."""
    names = " ".join((*_CANDIDATES, "npm"))
    return f"LC_ALL=C apt-cache policy {names}\n"


def read_candidates(output: str) -> dict[str, int]:
    """The answer of `candidates_script`: the major version of each package that is to be had."""
    found: dict[str, int] = {}
    name = ""
    for line in output.splitlines():
        if heading := re.fullmatch(r"(\S+):", line):
            name = heading[1]
        elif candidate := re.fullmatch(r"\s+Candidate: (\S+)", line):
            version = candidate[1].partition(":")[2] or candidate[1]
            if version != "(none)":
                found[name] = _major(version)
    return found


def packages(missing: Sequence[str], there: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """The packages that bring what is missing; and what none of them brings, with a reason."""
    chosen: list[str] = []
    unknown: list[str] = []
    for what in missing:
        names, why = _CHOICES[what](there)
        chosen += names
        unknown += [why] if why else []
    return list(dict.fromkeys(chosen)), unknown


def install_script(names: Sequence[str], *, docker: bool) -> str:
    """Installs packages, and lets the engine start now and with the machine."""
    start = "systemctl enable --now docker\n" if docker else ""
    return f"""\
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends {" ".join(map(quote, names))}
{start}"""


UPDATE = "DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 update\n"


def _docker(there: Mapping[str, int]) -> tuple[list[str], str]:
    if "docker.io" not in there:
        return [], "Docker: there is no package docker.io"
    # Since Debian 13 the client is a package of its own, which docker.io only recommends.
    return ["docker.io", *(["docker-cli"] if "docker-cli" in there else [])], ""


def _compose(there: Mapping[str, int]) -> tuple[list[str], str]:
    for name in ("docker-compose-v2", "docker-compose"):
        if there.get(name, 0) >= _COMPOSE_LEAST:
            return [name], ""
    return [], (
        "Docker Compose 2: this system's packages have none; Docker's own package source does"
        " (docs.docker.com/engine/install)"
    )


def _node(there: Mapping[str, int]) -> tuple[list[str], str]:
    if there.get("nodejs", 0) >= _NODE_LEAST:
        return ["nodejs"], ""
    has = f"has {there['nodejs']}" if "nodejs" in there else "has none"
    return [], f"Node.js {_NODE_LEAST} or newer: this system {has} (nodejs.org/en/download)"


def _npm(there: Mapping[str, int]) -> tuple[list[str], str]:
    # Node.js from its makers brings npm, and has no such package beside it.
    return (["npm"] if "npm" in there else []), ""


_CHOICES = {
    "curl": lambda there: (["curl"], "" if "curl" in there else "curl: there is no such package"),
    "docker": _docker,
    "compose": _compose,
    "node": _node,
    "npm": _npm,
}


def _major(version: str) -> int:
    found = re.search(r"\d+", version)
    return int(found[0]) if found else 0
