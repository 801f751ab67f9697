"""A cluster on which runs are killed: how they are begun, what is true of it between two runs,
and what Docker, the database and the balancer noted themselves of what was done to them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.cluster import Cluster, ask

OLD, NEW = "2.2.15", "2.2.16"
NODES = ("node1", "node2")
HOSTS = (*NODES, "db", "cache", "lb")
_REPOSITORY = Path(__file__).parents[2]
_DEADLINE = 900

_OF_NODE = """\
cd / && sha256sum /opt/nocobase/*
docker ps -a --format '{{.Names}} {{.Image}} {{.State}}' | sort
docker ps -q | xargs -r docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' | sort
"""
_OF_EACH = """\
ls -A ~/.nbops 2>/dev/null; ls -A /var/tmp | grep nbops; ls -A /var/lib/nbops/* | grep -v -x logs
sed -n 2p /var/lib/nbops/*/lock
grep -l -s -a NBOPS_JOB= /proc/[0-9]*/environ | wc -l
"""
_COLUMNS = (
    "SELECT table_name, column_name, data_type FROM information_schema.columns"
    " WHERE table_schema = 'public' ORDER BY 1, 2"
)
_EVENTS = (
    "docker events --since 24h --until 0s --filter type=container --filter event=start"
    " --filter event=stop --filter event=die --format '{{.Action}}'"
)
_LOG = "/var/log/postgresql/postgresql-17-main.log"
_NOTED_BY_DATABASE = {
    "dumps": r"application_name=pg_dump\b",
    "restores": r"application_name=pg_restore\b",
    "databases made": r"statement: CREATE DATABASE",
    "databases renamed": r"statement: ALTER DATABASE \S+ RENAME",
    "tables changed": r"statement: ALTER TABLE \S*notes",
}


@dataclass
class Chaos:
    """The sample app on two nodes, and nbops that is killed there."""

    cluster: Cluster

    def listen(self) -> None:
        """Have the database and the balancer note more than they do by themselves."""
        for setting in ("log_statement = 'ddl'", "log_connections = on"):
            self._superuser(f"ALTER SYSTEM SET {setting}")
        self._superuser("SELECT pg_reload_conf()")
        self._ssh(
            "lb",
            "sed -i 's,^error_log .*;,error_log /var/log/nginx/error.log notice;,'"
            " /etc/nginx/nginx.conf && nginx -s reload",
        )

    def nbops(self, *arguments: str, at: int = 0, points: Path | None = None) -> tuple[int, str]:
        """Run a command to its end, or to a point; gives exit code and output."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_REPOSITORY),
            "HOME": str(self.cluster.home),
            "LC_ALL": "C.UTF-8",
            "CHAOS_AT": str(at),
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
                return "restore", self._latest_backup(), where, "--yes", "--accept-data-loss"
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

    def state(self) -> dict[str, str]:
        """What must be the same after a run that was killed: versions, files, containers,
        balancer, lock, what is left on the hosts, the database's shape and content."""
        found = {f"left on {host}": said for host, said in self.on(_OF_EACH).items()}
        for node, said in self.on(_OF_NODE, NODES).items():
            found[f"app on {node}"] = said
            address = f"http://{self.cluster.address(node)}:13000/api/app:getInfo"
            found[f"version of {node}"] = str(ask(address)["data"]["version"])
        public = f"http://{self.cluster.address('lb')}/api/app:getInfo"
        found["version for visitors"] = str(ask(public)["data"]["version"])
        found["redis"] = self._ssh("cache", "systemctl is-active redis-server; true")
        found["tables"] = self._superuser(_COLUMNS, "nocobase")
        found["notes"] = self._superuser("SELECT * FROM notes ORDER BY id", "nocobase")
        return found

    def kept(self) -> Counter[str]:
        """How many releases each host keeps, and how many databases there are."""
        said = self.on("ls /var/lib/nbops/*/releases")
        found = Counter({f"{host}: releases": len(text.split()) for host, text in said.items()})
        found["db: databases"] = int(self._superuser("SELECT count(*) FROM pg_database"))
        return found

    def noted(self) -> Counter[str]:
        """How often which effect was seen by those whom it befell, since they were started."""
        found: Counter[str] = Counter()
        for node, said in self.on(_EVENTS, NODES).items():
            found.update(f"{node}: container {one}" for one in said.split())
        log = self._ssh("db", f"cat {_LOG}")
        for what, pattern in _NOTED_BY_DATABASE.items():
            found[f"db: {what}"] = len(re.findall(pattern, log))
        text = self._ssh("lb", "cat /var/log/nginx/error.log")
        found["lb: reloads"] = text.count(" reconfiguring")
        return found

    def _ssh(self, host: str, script: str) -> str:
        folder = self.cluster.inventory.parent
        done = subprocess.run(
            [
                *("ssh", "-i", str(folder / "key"), "-o", "BatchMode=yes"),
                *("-o", f"UserKnownHostsFile={folder / 'known_hosts'}"),
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

    def _latest_backup(self) -> str:
        code, out = self.nbops("backups", str(self.cluster.inventory), "--json")
        assert code == 0, out
        backups: list[dict[str, Any]] = json.loads(out)
        return str(backups[0]["name"])
