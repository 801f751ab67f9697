"""A cluster that is upgraded and taken back, again and again, and what is true of it between."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.cluster import NBOPS, Cluster, ask
from tests.deploy.monitor import Seen, monitor

OLD, NEW = "2.2.15", "2.2.16"
NODES = ("node1", "node2", "node3")
_DEADLINE = 600
_STATE = """\
cd / && sha256sum /opt/nocobase/* 2>/dev/null
docker ps -a --format '{{.Names}} {{.Image}} {{.State}}' | sort
docker ps -q | xargs -r docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' | sort
ls /var/lib/nbops/*/releases
"""


@dataclass
class Upgrading:
    """The sample app on three nodes behind two balancers."""

    cluster: Cluster

    @property
    def balancers(self) -> list[str]:
        """The addresses of the balancers."""
        groups = yaml.safe_load(self.cluster.inventory.read_text())["all"]["children"]
        return [str(one["ansible_host"]) for one in groups["balancer"]["hosts"].values()]

    @property
    def app(self) -> str:
        """Where visitors reach the app."""
        return f"http://{self.balancers[0]}/api"

    @property
    def runbooks(self) -> Path:
        """The user's own runbooks."""
        return self.cluster.inventory.parent / "runbooks"

    def version(self, base: str = "") -> str:
        """What the app says it is, to a visitor or at another address."""
        return str(ask(f"{base or self.app}/app:getInfo")["data"]["version"])

    def token(self) -> str:
        """Signs in as a visitor."""
        data = {"account": "admin@nocobase.com", "password": self.cluster.password()}
        return str(ask(f"{self.app}/auth:signIn", data=data)["data"]["token"])

    def add(self, text: str) -> None:
        """Have a note written."""
        ask(f"{self.app}/notes", token=self.token(), data={"text": text})

    def notes(self) -> set[str]:
        """The text of every note, whatever shape this version gives them."""
        rows = ask(f"{self.app}/notes", token=self.token())["data"]
        return {row.get("text") or row["title"] for row in rows}

    def upgrade(self, *options: str, inventory: Path | None = None) -> Run:
        """`nbops upgrade` to the new version."""
        where = str(inventory or self.cluster.inventory)
        return self.run("upgrade", where, "--version", NEW, *options)

    def rollback(self) -> Run:
        """`nbops rollback`, with the operator's word."""
        where = str(self.cluster.inventory)
        return self.run("rollback", where, "--yes", "--accept-data-loss")

    def go_back_to_old(self) -> None:
        """Whatever a test left: no run is half-way, and the old version serves."""
        held = re.search(r"run (\S+), interrupted", self.lock())
        if held:
            self.run("abort", held[1])
        if self.version() != OLD:
            self.rollback().ended(0)

    def lock(self) -> str:
        """Who holds the cluster, in a sentence."""
        shown = self.run("lock", "show", "-i", str(self.cluster.inventory))
        return shown.ended(0).out.splitlines()[0]

    def run(self, *arguments: str) -> Run:
        """A command, and how it ended."""
        done = self.cluster.nbops(*arguments)
        return Run(done.returncode, done.stdout, done.stderr)

    def broken_by(self, fault: str) -> Path:
        """An inventory with which the new version fails so."""
        env = {"SAMPLE_FAULT": fault}
        return self.cluster.edited("broken.yml", "all", "vars", "nocobase", "env", value=env)

    def with_setting(self, *keys: str, value: Any) -> Path:
        """An inventory with one other setting of the cluster."""
        return self.cluster.edited("other.yml", "all", "vars", "nocobase", *keys, value=value)

    @contextmanager
    def own_runbook(self, name: str, tasks: list[dict[str, Any]]) -> Iterator[None]:
        """A file in the user's `runbooks/` for as long as the block lasts."""
        path = self.runbooks / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(tasks))
        try:
            yield
        finally:
            path.unlink()

    @contextmanager
    def watched(self, token: str = "") -> Iterator[Seen]:
        """Visitors at every balancer until the block ends, and a second before and after. Who
        comes to the 503 page must have signed in before, with this `token`."""
        with monitor(self.balancers, token or self.token()) as seen:
            time.sleep(1)
            yield seen
            time.sleep(1)

    def state(self) -> Mapping[str, Any]:
        """What must be as before when an upgrade was undone: what runs, how it is configured,
        whether it comes back by itself, the releases, the balancers, the lock, the tables."""
        found: dict[str, Any] = {node: self.cluster.on(node, _STATE) for node in NODES}
        for number, address in enumerate(self.balancers):
            found[f"balancer {number}"] = ask(f"http://{address}/api/app:getInfo")["data"]
        for balancer in ("lb", "lb2"):
            found[balancer] = self.cluster.on(balancer, "cat /etc/nginx/conf.d/nbops-*")
        found["versions"] = [
            self.version(f"http://{self.cluster.address(node)}:13000/api") for node in NODES
        ]
        found["lock"] = self.lock()
        found["redis"] = self.cluster.on("cache", "systemctl is-active redis-server; true")
        found["tables"] = self.sql(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY 1, 2"
        )
        return found

    def sql(self, query: str, database: str = "nocobase") -> str:
        """What the database answers to its superuser."""
        words = f'cd / && runuser -u postgres -- psql -At -d {database} -c "{query}"'
        return self.cluster.on("db", words)

    def kept_databases(self) -> list[str]:
        """Those that were replaced, the latest last."""
        query = "SELECT datname FROM pg_database WHERE datname LIKE '%kept%' ORDER BY datname"
        return self.sql(query).split()

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """A command in the background, in a group of its own."""
        return subprocess.Popen(
            [NBOPS, *arguments],
            cwd=self.cluster.home,
            env={"HOME": str(self.cluster.home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def stopped_at(self, task: str, number: signal.Signals, *arguments: str) -> Run:
        """A command that gets a signal when it begins a task."""
        process = self.begin(*arguments)
        said: list[str] = []
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("TASK ") and task in line:
                    process.send_signal(number)
                    break
            said += process.stdout.readlines()
            code = process.wait(_DEADLINE)
        finally:
            process.kill()
            process.wait()
        text = "".join(said)
        assert f"TASK {task}" in text, text
        return Run(code, text, "")


def status_of(balancer: str) -> int:
    """What a visitor gets."""
    connection = http.client.HTTPConnection(balancer, timeout=30)
    try:
        connection.request("GET", "/api/app:getInfo")
        return connection.getresponse().status
    finally:
        connection.close()


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Everything that it said."""
        return self.out + self.err

    @property
    def name(self) -> str:
        """The run's own name."""
        found = re.search(r"run (\d{8}T\d{6}Z-[0-9a-f]+)", self.all)
        assert found, self.all
        return found[1]

    def ended(self, code: int, *words: str) -> Run:
        """Raises unless it ended with this code and said these words."""
        assert self.code == code, json.dumps(self.all)[-6000:].replace("\\n", "\n")
        for word in words:
            assert word in self.all, f"{word!r} is not in\n{self.all}"
        return self
