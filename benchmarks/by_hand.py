"""The bare commands of an upgrade and of a rollback, over connections that stand already: what
the 503 window cannot be shorter than, whatever tool gives the commands.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_WAIT = "until curl -sf -o /dev/null http://127.0.0.1:{port}/api/__health_check; do sleep 0.1; done"
_UP = (
    "cd {dir} && sed -i 's|^    image: .*|    image: {image}:{{version}}|' compose.yml"
    " && NBOPS_START={{start}} docker compose up --detach --no-build --force-recreate 2>&1 && "
    + _WAIT
)
_DUMPS = "/var/lib/postgresql"
_PSQL = "psql --no-psqlrc --single-transaction --set=ON_ERROR_STOP=1"


@dataclass(frozen=True)
class Step:
    """Commands that run on hosts at the same time. `part` is the part of the window."""

    part: str
    hosts: Sequence[str]
    command: str


class ByHand:
    """The commands for a lab, by its inventory, run as root."""

    def __init__(self, inventory: Path, folder: Path) -> None:
        document = yaml.safe_load(inventory.read_text())["all"]
        self._settings: dict[str, Any] = document["vars"]["nocobase"]
        self._groups = {name: list(group["hosts"]) for name, group in document["children"].items()}
        self._ssh = [
            "ssh",
            "-F",
            "none",
            "-i",
            str(document["vars"]["ansible_ssh_private_key_file"]),
        ]
        self._ssh += document["vars"]["ansible_ssh_common_args"].split()
        self._ssh += ["-o", f"ControlPath={folder}/%C"]
        self._addresses = {
            host: one["ansible_host"]
            for group in document["children"].values()
            for host, one in group["hosts"].items()
        }

    @contextmanager
    def connected(self) -> Iterator[None]:
        """A connection to each machine stands until the block ends."""
        for address in self._addresses.values():
            self._ssh_to(address, "-fNM")
        try:
            yield
        finally:
            for address in self._addresses.values():
                self._ssh_to(address, "-O", "exit")

    def do(self, step: Step) -> None:
        """Run a step on its hosts. Raises CalledProcessError when it fails on one."""
        with ThreadPoolExecutor(len(step.hosts)) as pool:
            places = [self._addresses[host] for host in step.hosts]
            list(pool.map(lambda place: self._ssh_to(place, command=step.command), places))

    def upgrade(self, version: str) -> list[Step]:
        """Forth: the database is dumped to a file for the way back."""
        return [*self._down("upgrade"), *self._redis("start"), *self._up(version)]

    def rollback(self, version: str) -> list[Step]:
        """Back, with the database of that file."""
        name = self._settings["database"]["name"]
        restore = (
            f"createdb --owner={self._settings['database']['user']} --template=template0 {name}_new"
            f" && pg_restore --exit-on-error --dbname={name}_new {_DUMPS}/upgrade.dump"
            f" && {_PSQL} -c 'ALTER DATABASE {name} RENAME TO {name}_kept'"
            f" -c 'ALTER DATABASE {name}_new RENAME TO {name}' postgres"
        )
        clear = "redis-cli -n 0 flushdb && redis-cli -n 2 flushdb"
        return [
            Step("", self._groups["database"], _as_postgres(f"dropdb --if-exists {name}_kept")),
            *self._down("rollback"),
            Step("restore", self._groups["database"], _as_postgres(restore)),
            *self._redis("start"),
            Step("redis", self._groups["redis"], clear),
            *self._up(version),
        ]

    def _down(self, backup: str) -> list[Step]:
        name, database = f"nocobase-{self._settings['cluster']}", self._settings["database"]["name"]
        stop = f"docker update --restart no {name} && docker stop --time 60 {name}"
        dump = (
            f"pg_dump -Fc --compress=zstd:1 --file={_DUMPS}/{backup}.dump {database}"
            f" && pg_restore --list {_DUMPS}/{backup}.dump"
        )
        return [
            Step("drain", self._groups["balancer"], f": > {self._page}"),
            Step("stop", self._groups["app"], stop),
            *self._redis("stop"),
            Step("dump", self._groups["database"], _as_postgres(dump)),
        ]

    def _up(self, version: str) -> list[Step]:
        first, *others = self._groups["app"]
        name = f"nocobase-{self._settings['cluster']}"
        up = _UP.format(
            dir=self._settings["runtime"]["dir"],
            image=self._settings["image"],
            port=self._settings["runtime"]["port"],
        )
        steps = [Step("first", [first], up.format(version=version, start="first"))]
        if others:
            steps.append(Step("others", others, up.format(version=version, start="node")))
        back = f"docker update --restart unless-stopped {name}"
        return [
            *steps,
            Step("", self._groups["balancer"], f"rm {self._page}"),
            Step("", self._groups["app"], back),
        ]

    def _redis(self, what: str) -> list[Step]:
        answers = "until redis-cli ping >/dev/null; do sleep 0.1; done"
        command = f"systemctl {what} redis-server"
        if what == "start":
            command += f" && {answers}"
        return [Step("redis", self._groups["redis"], command)]

    @property
    def _page(self) -> str:
        return f"/etc/nginx/nbops/{self._settings['cluster']}/maintenance"

    def _ssh_to(self, address: str, *options: str, command: str = "") -> None:
        words = [*self._ssh, *options, f"root@{address}", *([command] if command else [])]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _as_postgres(command: str) -> str:
    quoted = command.replace("'", "'\\''")
    return f"cd / && runuser -u postgres -- sh -c '{quoted}'"
