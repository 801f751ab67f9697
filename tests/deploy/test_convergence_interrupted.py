"""Deploys that are killed on their way, and repeated: they end as if nothing had been."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.cluster import NBOPS, Cluster, ask

pytestmark = pytest.mark.lab

NODES = ("node1", "node2", "node3")
FILES = "cat /opt/nocobase/*.env /opt/nocobase/*.yml | sha256sum"
RUNS = (
    "docker container ls --all --format '{{.Names}} {{.State}}'; docker inspect --format"
    ' \'{{.HostConfig.RestartPolicy.Name}} {{index .Config.Labels "nbops.configuration"}}'
    ' {{index .Config.Labels "nbops.start"}}{{range .Config.Env}}{{println}}{{.}}{{end}}\''
    " $(docker ps -aq) | sort"
)
STATE = "ls /var/lib/nbops/*/ | grep -x -e closed -e pending.json; cat /etc/nginx/conf.d/nbops-*"
RECORD = "cat $(ls /var/lib/nbops/*/releases/0*.json | tail -n 1)"
PASSING = {"number", "parent", "run", "when", "who"}
DEAD_AFTER = 62


@dataclass
class Twice:
    """Two wordings of one inventory, and how the cluster stands when each is deployed."""

    cluster: Cluster
    now: str = "one"
    stands: dict[str, Any] = field(default_factory=dict)

    def inventory(self, which: str, variable: str) -> Path:
        """`one` and `two` differ in one variable."""
        env = {"EXTRA": "0", "TZ": "UTC"}
        if which == "two":
            env[variable] = {"EXTRA": "1", "TZ": "Asia/Shanghai"}[variable]
        name = f"{which}-{variable}.yml"
        return self.cluster.edited(name, "all", "vars", "nocobase", "env", value=env)

    def deploy(self, inventory: Path) -> None:
        done = self.cluster.nbops("deploy", str(inventory), "--plain")
        assert done.returncode == 0, done.stdout + done.stderr

    def reference(self, variable: str) -> None:
        """How both stand when nothing comes between, each after the other: whoever comes from
        the inventory without them restarts all nodes at once."""
        self.deploy(self.inventory("one", variable))
        for which in ("two", "one"):
            self.deploy(self.inventory(which, variable))
            self.stands[which] = self.look()

    def look(self) -> dict[str, Any]:
        """All that a deploy leaves on the machines, but for names and times of the run."""
        found: dict[str, Any] = {"lb": self.cluster.on("lb", f"{STATE} 2>/dev/null; true")}
        for node in NODES:
            found[f"{node} files"] = self.cluster.on(node, FILES)
            found[f"{node} runs"] = self.cluster.on(node, RUNS)
            found[f"{node} state"] = self.cluster.on(node, f"{STATE} 2>/dev/null; true")
            record = json.loads(self.cluster.on(node, RECORD))
            for key in record.keys() - PASSING:
                found[f"{node} record of {key}"] = record[key]
        return found

    def kill(self, inventory: Path, tasks: int) -> str:
        """Deploy, and kill nbops when it has begun so many tasks; gives the run's name, empty
        when it was done before."""
        environment = {"HOME": str(self.cluster.home), "PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            [NBOPS, "deploy", str(inventory), "--plain"],
            cwd=self.cluster.home,
            env=environment | {"LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        run, begun = "", 0
        with process.stdout:
            for line in process.stdout:
                name = re.search(r"run (\d+T\d+Z-[0-9a-f]+)", line)
                run = run or (name[1] if name else "")
                begun += line.startswith("TASK ")
                if begun == tasks:
                    process.send_signal(signal.SIGKILL)
                    process.wait(30)
                    return run
        assert process.wait(60) == 0
        return ""

    def disturbed(self, variable: str, tasks: int, *, resume: bool) -> None:
        """Deploy the other wording, killed on its way, and come to its end all the same."""
        which = "two" if self.now == "one" else "one"
        inventory = self.inventory(which, variable)
        run = self.kill(inventory, tasks)
        if run and resume:
            done = self.cluster.nbops("resume", run, "--plain")
            assert done.returncode == 0, done.stdout + done.stderr
        elif run:
            time.sleep(DEAD_AFTER)
            done = self.cluster.nbops("lock", "break", run, "-i", str(inventory))
            assert done.returncode == 0 or "not locked" in done.stderr, done.stderr
            self.deploy(inventory)
        self.now = which
        now, then = self.look(), self.stands[which]
        different = {name: (now.get(name), then.get(name)) for name in {*now, *then}}
        different = {name: both for name, both in different.items() if both[0] != both[1]}
        assert not different, f"killed at task {tasks}: {different}"
        assert ask(f"http://{self.cluster.address('lb')}/api/__health_check") == "ok"


@pytest.fixture
def twice(sample: Cluster) -> Iterator[Twice]:
    yield Twice(sample)
    Twice(sample).deploy(sample.inventory)


def test_a_deploy_that_was_killed_comes_to_the_same_end(twice: Twice) -> None:
    twice.reference("TZ")
    twice.disturbed("TZ", 24, resume=True)  # while all nodes are stopped
    twice.disturbed("TZ", 33, resume=False)  # while they start again


@pytest.mark.series
@pytest.mark.parametrize("variable", ["EXTRA", "TZ"])
@pytest.mark.parametrize("resume", [True, False])
def test_wherever_a_deploy_is_killed_it_comes_to_the_same_end(
    twice: Twice, variable: str, *, resume: bool
) -> None:
    chance = random.Random(f"{variable} {resume}")  # noqa: S311  no secret
    twice.reference(variable)
    for tasks in chance.sample(range(1, 60), 12):
        twice.disturbed(variable, tasks, resume=resume)
