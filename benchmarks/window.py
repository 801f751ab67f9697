"""The 503 window of an upgrade and of a rollback, seen from outside, and what takes it; beside
it the same procedure as an Ansible playbook (`benchmarks/window/`), and its bare commands by hand.

    python benchmarks/window.py --rounds 3 --down       (as root; an hour with the real app)
    python benchmarks/window.py --app nocobase --rounds 3 --down

Brings up a lab (or takes the one of that name), deploys the app, and puts Python on its machines,
which Ansible needs and nbops does not. A round is an upgrade and a rollback by nbops, by hand and
by Ansible. Visitors at every balancer, twenty requests a second each, tell how long they got 503
and whether they got anything that they should not. `rest` is that time less the parts that the
app and its servers take: what the tool itself adds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.by_hand import ByHand, Step
from benchmarks.debs import put_python
from tests.deploy.cluster import NBOPS, Cluster
from tests.deploy.monitor import Seen, monitor
from tests.deploy.test_upgrade_nocobase import make_things
from tests.deploy.upgrading import NEW, OLD, Upgrading

PLAYBOOKS = Path(__file__).with_suffix("")
PARTS = ("drain", "stop", "dump", "redis", "restore", "first", "others")
# nbops: by action, and by the phase where that matters.
_ACTIONS = {
    ("balancer_maintenance", "drain"): "drain",
    ("nocobase_stop", "stop"): "stop",
    ("redis_stop", "redis"): "redis",
    ("redis_start", "redis"): "redis",
    ("redis_clear", "restore"): "redis",
    ("database_backup", "backup"): "dump",
    ("database_restore", "restore"): "restore",
    ("database_swap", "restore"): "restore",
    ("nocobase_start", "first node"): "first",
    ("nocobase_wait", "first node"): "first",
    ("nocobase_start", "other nodes"): "others",
    ("nocobase_wait", "other nodes"): "others",
}
# Ansible: by the task's name.
_NAMES = {
    "Answer 503": "drain",
    "Let requests in flight end": "drain",
    "Stop the nodes": "stop",
    "Stop Redis": "redis",
    "Start Redis": "redis",
    "Wait until it answers": "redis",
    "Forget what it cached and locked": "redis",
    "Dump the database": "dump",
    "Check the dump": "dump",
    "Make a database beside the present one": "restore",
    "Restore the backup into it": "restore",
    "Let it take the other's place": "restore",
    "Start the first node": "first",
    "Wait until the first node serves": "first",
    "Start the other nodes": "others",
    "Wait until all nodes serve": "others",
}
_TASK = re.compile(r"^TASK \[(.*)\] \**$")


@dataclass
class Task:
    """A task of either tool: from its beginning to the last host's end, seconds of the epoch."""

    name: str
    part: str
    began: float
    ended: float

    def within(self, window: tuple[float, float]) -> float:
        """How many seconds of it lie in the window."""
        return max(0.0, min(self.ended, window[1]) - max(self.began, window[0]))


@dataclass
class Measured:
    """One run: the box's load (mean of begin and end), what visitors saw, what the tool says of
    the 503 time, and its parts; all in seconds."""

    kind: str
    load: float
    seen: float
    said: float | None
    parts: dict[str, float]
    rest: float
    faults: str


@dataclass
class Bench:
    """A lab with the app on its old version."""

    upgrading: Upgrading
    path: str
    hands: ByHand
    runs: list[Measured] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        """The machines."""
        return self.upgrading.cluster

    def nbops(self, *arguments: str) -> Iterator[Task | float]:
        """Runs a command; gives its tasks, at last the 503 time that it tells."""
        command = [NBOPS, *arguments, "--json"]
        task: Task | None = None
        for line in self._lines(command):
            event = json.loads(line)
            if event["kind"] == "task_started":
                if task is not None:
                    yield task
                part = _ACTIONS.get((event["action"], event["phase"]), "")
                task = Task(event["task"], part, event["time"], event["time"])
            elif event["kind"] == "step_ended" and task is not None:
                task.ended = event["time"]
            elif event["kind"] == "run_ended" and task is not None:
                yield task
                yield float(event["downtime"]["seconds"])

    def ansible(self, playbook: str, version: str) -> Iterator[Task | float]:
        """Runs a playbook; gives its tasks."""
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        inventory = str(self.cluster.inventory)
        book = str(PLAYBOOKS / playbook)
        task: Task | None = None
        for line in self._lines([program, "-i", inventory, "-e", f"app_version={version}", book]):
            found = _TASK.match(line)
            if found or line.startswith("PLAY RECAP"):
                if task is not None:
                    yield task
                task = None
            if found:
                now = time.time()
                task = Task(found[1], _NAMES.get(found[1], ""), now, now)
            elif task is not None and line.strip():
                task.ended = time.time()

    def by_hand(self, steps: Sequence[Step]) -> Iterator[Task | float]:
        """Gives the bare commands, and how long each took."""
        for step in steps:
            began = time.time()
            self.hands.do(step)
            yield Task(step.command[:60], step.part, began, time.time())

    def _lines(self, command: Sequence[str]) -> Iterator[str]:
        """What a command prints, line by line. Raises when it fails."""
        env = {
            "HOME": str(self.cluster.home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
        }
        said: list[str] = []
        with subprocess.Popen(
            command,
            cwd=self.cluster.home,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                said.append(line)
                yield line
        if process.returncode:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {''.join(said)}")

    def measure(
        self, kind: str, old: str, new: str, run: Callable[[], Iterable[Task | float]]
    ) -> None:
        """One run, watched from outside."""
        if (now := self.upgrading.version()) != old:
            raise RuntimeError(f"the app is {now} before `{kind}`, not {old}")
        load = os.getloadavg()[0]
        with monitor(self.upgrading.balancers, self.upgrading.token(), path=self.path) as seen:
            time.sleep(1)
            given = list(run())
            load = (load + os.getloadavg()[0]) / 2
            time.sleep(1)
        began, ended = (moment + time.time() - time.monotonic() for moment in seen.window)
        tasks = [one for one in given if isinstance(one, Task)]
        said = next((one for one in given if isinstance(one, float)), None)
        times = [(task, task.within((began, ended))) for task in tasks]
        parts = {
            part: sum(seconds for task, seconds in times if task.part == part) for part in PARTS
        }
        others = [(task.name, seconds) for task, seconds in times if seconds and not task.part]
        rest = ended - began - sum(parts.values())
        one = Measured(kind, load, ended - began, said, parts, rest, faults(seen, old, new))
        self.runs.append(one)
        show(one)
        for name, seconds in sorted(others, key=lambda other: -other[1])[:12]:
            say(f"    {seconds:6.2f}  {name}")


def faults(seen: Seen, old: str, new: str) -> str:
    """What visitors got that they should not have got; empty when there was nothing."""
    try:
        seen.check_window(old, new)
    except AssertionError as error:
        return str(error) or "not only 503 in the window"
    return ""


def main() -> None:
    """Read the arguments, bring up, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--name", default="window", help="the lab's name")
    parser.add_argument("--app", default="sample", choices=("sample", "nocobase"))
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--balancers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-ansible", action="store_true")
    parser.add_argument("--down", action="store_true", help="remove the lab at the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="window-") as home:
        cluster = Cluster(options.name, Path(home))
        try:
            bench = prepared(cluster, options)
            for _ in range(options.rounds):
                one_round(bench, ansible=not options.without_ansible)
            summary(bench.runs)
        finally:
            if options.down:
                cluster.down()


def prepared(cluster: Cluster, options: argparse.Namespace) -> Bench:
    """The lab with the app deployed, ready for both tools."""
    cluster.up(app=options.app, nodes=options.nodes, balancers=options.balancers)
    done = cluster.deploy()
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    if not options.without_ansible:
        put_python(cluster)
    upgrading = Upgrading(cluster)
    upgrading.go_back_to_old()
    hands = ByHand(cluster.inventory, cluster.home)
    if options.app == "sample":
        return Bench(upgrading, "/api/notes", hands)
    make_things(upgrading)
    return Bench(upgrading, "/api/things:create", hands)


def one_round(bench: Bench, *, ansible: bool) -> None:
    """There and back with each tool, and by hand."""
    inventory = str(bench.cluster.inventory)
    back = ("rollback", inventory, "--yes", "--accept-data-loss")
    upgrade = ("upgrade", inventory, "--version", NEW)
    bench.measure("nbops upgrade", OLD, NEW, lambda: bench.nbops(*upgrade))
    bench.measure("nbops rollback", NEW, OLD, lambda: bench.nbops(*back))
    with bench.hands.connected():
        forth, home = bench.hands.upgrade(NEW), bench.hands.rollback(OLD)
        bench.measure("by hand upgrade", OLD, NEW, lambda: bench.by_hand(forth))
        bench.measure("by hand rollback", NEW, OLD, lambda: bench.by_hand(home))
    if ansible:
        bench.measure("Ansible upgrade", OLD, NEW, lambda: bench.ansible("upgrade.yml", NEW))
        bench.measure("Ansible rollback", NEW, OLD, lambda: bench.ansible("rollback.yml", OLD))


def summary(runs: Sequence[Measured]) -> None:
    """Every run, then the medians of each kind."""
    say("")
    head("every run")
    for one in runs:
        show(one)
    say("")
    head("median")
    for kind in dict.fromkeys(one.kind for one in runs):
        show(median([one for one in runs if one.kind == kind]))


def median(runs: Sequence[Measured]) -> Measured:
    """The medians of each figure by itself."""

    def of(figure: Callable[[Measured], float | None]) -> float:
        return statistics.median(value for one in runs if (value := figure(one)) is not None)

    told = [one for one in runs if one.said is not None]
    return Measured(
        runs[0].kind,
        of(lambda one: one.load),
        of(lambda one: one.seen),
        of(lambda one: one.said) if told else None,
        {part: of(lambda one, part=part: one.parts[part]) for part in PARTS},  # type: ignore[misc]
        of(lambda one: one.rest),
        "; ".join(one.faults for one in runs if one.faults),
    )


def head(what: str) -> None:
    """The names of the columns."""
    columns = "".join(f"{name:>9}" for name in ("load", "seen", "said", *PARTS, "rest"))
    say(f"{what:<18}{columns}")


def show(one: Measured) -> None:
    """A line of the table."""
    said = f"{one.said:9.2f}" if one.said is not None else f"{'':>9}"
    parts = "".join(f"{one.parts[part]:9.2f}" for part in PARTS)
    line = f"{one.kind:<18}{one.load:9.1f}{one.seen:9.2f}{said}{parts}{one.rest:9.2f}"
    say(f"{line}  {one.faults}".rstrip())


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
