"""A cluster on which runs are killed: how they are begun, what is true of it between two runs,
and what Docker, the database and the balancer noted themselves of what was done to them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.looks import DROP_KEPT, FORGET, NOTES, SQL, read, script
from tests.deploy.cluster import Cluster, ask

OLD, NEW = "2.2.15", "2.2.16"
NODES = ("node1", "node2")
HOSTS = (*NODES, "db", "cache", "lb")
_REPOSITORY = Path(__file__).parents[2]
_DEADLINE = 900

_NOTED_BY_DATABASE = {
    "dumps": r"application_name=pg_dump\b",
    "restores": r"application_name=pg_restore\b",
    "databases made": r"statement: CREATE DATABASE",
    "databases renamed": r"statement: ALTER DATABASE \S+ RENAME",
    "databases removed": r"statement: DROP DATABASE",
    "tables changed": r"statement: ALTER TABLE \S*notes",
}


# Docker itself forgets all but its last 256 events.
_EVENTS = """
systemctl stop chaos-events 2>/dev/null
systemd-run --quiet --collect --unit chaos-events sh -c 'exec docker events \
    --filter type=container --filter event=create --filter event=start --filter event=stop \
    --filter event=die --format "{{.Action}}" >>/run/chaos-events'
"""


@dataclass(frozen=True)
class Look:
    """The cluster at one moment: what must be the same after a run that was killed, how many
    releases and databases are kept, and how often which effect was seen by those whom it befell
    since the last `forget`."""

    state: dict[str, str]
    kept: Counter[str]
    noted: Counter[str]

    @property
    def version(self) -> str:
        """What visitors get."""
        return self.state["version of lb"]


@dataclass
class Chaos:
    """The sample app on two nodes, and nbops that is killed there."""

    cluster: Cluster
    backup: str = ""

    def listen(self) -> None:
        """Have Docker, the database and the balancer note more than they do by themselves."""
        self.on(_EVENTS, NODES)
        for setting in ("log_statement = 'ddl'", "log_connections = on"):
            self._superuser(f"ALTER SYSTEM SET {setting}")
        self._superuser("SELECT pg_reload_conf()")
        self._ssh(
            "lb",
            "sed -i 's,^error_log .*;,error_log /var/log/nginx/error.log notice;,'"
            " /etc/nginx/nginx.conf && nginx -s reload",
        )

    def forget(self) -> None:
        """Empty what was noted, and what is kept of the runs before, here and there. No run is
        half-way then."""
        self._ssh("db", SQL + DROP_KEPT)
        self.on(FORGET)
        shutil.rmtree(self.cluster.home / ".local" / "state" / "nbops", ignore_errors=True)

    def nbops(
        self,
        *arguments: str,
        at: str = "",
        points: Path | None = None,
        killed: Path = Path(os.devnull),
    ) -> tuple[int, str]:
        """Run a command to its end, or to a point; gives exit code and output."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_REPOSITORY),
            "HOME": str(self.cluster.home),
            "LC_ALL": "C.UTF-8",
            "CHAOS_AT": at,
            "CHAOS_KILLED": str(killed),
        }
        if points is not None:
            environment["CHAOS_LOG"] = str(points)
        self.cluster.home.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.run", *arguments, "--plain"],
            cwd=self.cluster.home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DEADLINE,
            check=False,
        )
        return done.returncode, done.stdout

    def arguments(self, command: str) -> tuple[str, ...]:
        """What stands on the command line for one of the commands that are killed."""
        where = str(self.cluster.inventory)
        match command:
            case "upgrade":
                return "upgrade", where, "--version", NEW
            case "rollback":
                return "rollback", where, "--yes", "--accept-data-loss"
            case "restore":
                return "restore", self.backup, "-i", where, "--yes", "--accept-data-loss"
            case _:
                return "deploy", str(self.other_setting())

    def other_setting(self) -> Path:
        """An inventory that differs in one variable of the app from what is deployed."""
        now = self._ssh("node1", "cat /opt/nocobase/node.env")
        value = "one" if "CHAOS_SETTING=two" in now else "two"
        env = {"CHAOS_SETTING": value}
        return self.cluster.edited(f"{value}.yml", "all", "vars", "nocobase", "env", value=env)

    def on(self, script: str, hosts: tuple[str, ...] = HOSTS) -> dict[str, str]:
        """What a script prints on each of these machines."""
        with ThreadPoolExecutor(len(HOSTS)) as workers:
            return dict(
                zip(hosts, workers.map(lambda one: self._ssh(one, script), hosts), strict=True)
            )

    def look(self) -> Look:
        """All of it. Raises AssertionError when something of it cannot be seen."""
        with ThreadPoolExecutor(len(HOSTS)) as workers:
            said = workers.map(lambda host: read(self._ssh(host, script(host))), HOSTS)
            found = dict(zip(HOSTS, said, strict=True))
        state, kept = {}, Counter[str]()
        for host, pieces in found.items():
            for name, text in pieces.items():
                if name.startswith("kept "):
                    kept[f"{host}: {name[5:]}"] = int(text)
                elif name == "version":
                    state[f"version of {host}"] = str(json.loads(text)["data"]["version"])
                elif not name.startswith("noted "):
                    state[f"{name} of {host}"] = text
        return Look(state, kept, _noted(found))

    def noted(self) -> Counter[str]:
        """How often which effect was seen by those whom it befell since the last `forget`."""
        scripts = {host: script(host, only="noted ") for host in HOSTS}
        return _noted({host: read(self._ssh(host, text)) for host, text in scripts.items()})

    def sign_in(self) -> str:
        """A token of the first account."""
        data = {"account": "admin@nocobase.com", "password": self.cluster.password()}
        address = f"http://{self.cluster.address('lb')}/api/auth:signIn"
        return str(ask(address, data=data)["data"]["token"])

    def change(self, text: str) -> None:
        """A note of a visitor, and a file of a plugin, with this text."""
        script = "cd /srv/nocobase/storage && mkdir -p plugins/chaos && cat >plugins/chaos/text"
        self._ssh("node1", f"{script} <<'END_OF_TEXT'\n{text}\nEND_OF_TEXT\n")
        address = f"http://{self.cluster.address('lb')}/api/notes"
        ask(address, token=self.sign_in(), data={"text": text})

    def notes(self) -> dict[str, Counter[str]]:
        """The notes in the app's database, and in each that is kept."""
        found: dict[str, Counter[str]] = {"nocobase": Counter()}
        for line in self._ssh("db", SQL + NOTES).splitlines():
            database, _, row = line.partition("|")
            # The columns are id, and text or title and body, of which visitors write one.
            found.setdefault(database, Counter())[row.split("|")[1]] += 1
        return found

    def back_up(self) -> None:
        """Make the backup that `restore` brings back."""
        where = ("-i", str(self.cluster.inventory))
        code, out = self.nbops("backup", *where)
        assert code == 0, out
        code, out = self.nbops("backups", *where, "--json")
        assert code == 0, out
        self.backup = str(json.loads(out)["backups"][0]["name"])

    def _ssh(self, host: str, script: str) -> str:
        folder = self.cluster.inventory.parent
        done = subprocess.run(
            [
                *("ssh", "-i", str(folder / "key"), "-o", "BatchMode=yes"),
                *("-o", f"UserKnownHostsFile={folder / 'known_hosts'}"),
                # A series looks some ten thousand times: one connection serves several looks.
                *("-o", "ControlMaster=auto", "-o", "ControlPersist=10"),
                *("-o", f"ControlPath={folder / 'chaos-%C'}"),
                *(f"root@{self.cluster.address(host)}", "sh"),
            ],
            input=script,
            capture_output=True,
            text=True,
            timeout=_DEADLINE,
            check=False,
        )
        assert done.returncode in {0, 1}, f"{host}: {done.stderr}"
        return done.stdout

    def _superuser(self, query: str, database: str = "postgres") -> str:
        return self._ssh(
            "db", f'cd / && runuser -u postgres -- psql -At -d {database} -c "{query}"'
        )


def _noted(found: Mapping[str, Mapping[str, str]]) -> Counter[str]:
    noted = Counter[str]()
    for node in NODES:
        noted.update(f"{node}: {one}" for one in found[node]["noted containers"].split())
    for what, pattern in _NOTED_BY_DATABASE.items():
        noted[f"db: {what}"] = len(re.findall(pattern, found["db"]["noted log"]))
    noted["lb: reloads"] = found["lb"]["noted reloads"].count(" reconfiguring")
    return noted
