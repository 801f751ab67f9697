"""Upgrades under which a network or a machine fails at a random step.

Each is upgraded or rolled back within ten minutes of the fault, with what was written before it:
by itself, or by the next step that it prints, taken when the host is back. `NETWORK_SEED` takes
the same faults once more, each run has the seed after that of the run before it.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from dataclasses import dataclass, field

import pytest

from tests.chaos.machines import HOSTS, NODES, Chaos
from tests.chaos.network import Ambush, Fault, Kind, drawn
from tests.deploy.monitor import Seen
from tests.deploy.upgrading import NEW, OLD, Run, Upgrading

pytestmark = pytest.mark.lab

RUNS = int(os.environ.get("NETWORK_RUNS", "50"))
SEED = int(os.environ.get("NETWORK_SEED") or secrets.randbelow(1_000_000))
LIMIT = 600  # seconds from a fault to the end
_HUNG = 900
_STEADY = 120  # seconds in which a machine that was restarted has started its app
_MOST_STEPS = 4
_ENDED = (0, 1, 3, 4)
_NEXT = re.compile(r"`nbops ((?:resume|deploy)[^`]*)`")
_JOBS = "grep -l -s -a NBOPS_JOB= /proc/[0-9]*/environ; true"
_POLICIES = "docker ps -q | xargs -r docker inspect -f '{{.HostConfig.RestartPolicy.Name}}'"


@dataclass
class Upgrade:
    """One upgrade that a fault befalls, and what is wrong at its end."""

    chaos: Chaos
    world: Upgrading
    fault: Fault
    ends: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def go(self) -> None:
        """Upgrade, let it happen, take the steps that are printed, and look."""
        world = self.world
        world.go_back_to_old()
        note = f"before {time.time():.3f}"
        world.add(note)
        before = self.chaos.on(_POLICIES, NODES)
        ambush = Ambush(world.cluster, self.fault)
        try:
            with world.watched() as seen:
                self._to_its_end(ambush)
                version = self._serving()
        finally:
            ambush.close()
        self._check(seen, version, note, before)

    def _to_its_end(self, ambush: Ambush) -> None:
        run, struck = self._upgraded(ambush)
        ambush.await_back()
        while run.code and len(self.ends) < _MOST_STEPS and (step := _NEXT.search(run.all)):
            run = self._next(*step[1].split())
        self._free_lock()
        self.seconds = time.monotonic() - struck
        if run.code not in _ENDED:
            self.wrong.append("no end")

    def _next(self, *words: str) -> Run:
        """Do what the operator is told to do next."""
        if words[0] == "deploy":
            words = ("deploy", str(self.world.with_setting("version", value=NEW)))
        run = self.world.run(*words, "--plain")
        self._note(" ".join(words), run)
        return run

    def _free_lock(self) -> None:
        """What a host kept that could not be reached when the run gave the lock back."""
        end = time.monotonic() + _STEADY
        while (shown := self.world.lock()) != "free":
            held = re.search(r"run (\S+), interrupted", shown)
            if held:
                self._next("lock", "break", held[1], "-i", str(self.world.cluster.inventory))
            if time.monotonic() > end:
                self.wrong.append(f"lock {shown}")
                return
            time.sleep(2)

    def _upgraded(self, ambush: Ambush) -> tuple[Run, float]:
        """The upgrade, and when the fault befell it."""
        arguments = ("upgrade", str(self.world.cluster.inventory), "--version", NEW, "--plain")
        process = self.world.begin(*arguments)
        hung = threading.Timer(_HUNG, process.kill)
        hung.start()
        lines: list[str] = []
        tasks, struck = 0, 0.0
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line)
                tasks += line.startswith("TASK ")
                if self.fault.task in {tasks, line[5:-1]} and not struck:
                    ambush.go()
                    struck = time.monotonic()
            run = Run(process.wait(), "".join(lines), "")
        finally:
            hung.cancel()
            process.kill()
            process.wait()
        assert struck, f"it has only {tasks} tasks\n{run.out}"
        self._note("upgrade", run)
        return run, struck

    def _note(self, what: str, run: Run) -> None:
        self.ends.append(f"{what.split(maxsplit=1)[0]} {run.code}")
        self.said.append(f"$ nbops {what}\n{run.all}")

    def _serving(self) -> str:
        """The version that every node and the balancer serve in the end."""
        world, end = self.world, time.monotonic() + _STEADY
        places = {node: f"http://{world.cluster.address(node)}:13000/api" for node in NODES}
        while True:
            found = {}
            for name, base in (places | {"visitors": world.app}).items():
                try:
                    found[name] = world.version(base)
                except (OSError, ValueError) as error:
                    found[name] = str(error)
            if len(set(found.values())) == 1 and (version := found["visitors"]) in {OLD, NEW}:
                return version
            if time.monotonic() > end:
                self.wrong.append(f"serving: {found}")
                return found["visitors"]
            time.sleep(1)

    def _check(self, seen: Seen, version: str, note: str, before: dict[str, str]) -> None:
        """Note what is not so that must be so."""
        world = self.world
        if self.seconds > LIMIT:
            self.wrong.append(f"took {self.seconds:.0f} s")
        if lost := {note, *seen.notes} - world.notes():
            self.wrong.append(f"{len(lost)} notes lost: {sorted(lost)[:3]}")
        if (now := self.chaos.on(_POLICIES, NODES)) != before:
            self.wrong.append(f"restart policies {now}, not {before}")
        if jobs := {host: said for host, said in self.chaos.on(_JOBS).items() if said}:
            self.wrong.append(f"jobs left: {jobs}")
        try:
            self._check_seen(seen, version)
        except AssertionError as error:
            self.wrong.append(f"visitors: {error}")

    def _check_seen(self, seen: Seen, version: str) -> None:
        if not self.fault.only_ssh:
            olds = [one.began for one in seen.of(200) if one.version == OLD]
            news = [one.ended for one in seen.of(200) if one.version == NEW]
            assert not news or not olds or max(olds) < min(news), "two versions"
        elif seen.of(503):
            seen.check_window(OLD, version)
        else:
            seen.check_steady(OLD)


def test_an_upgrade_goes_on_when_a_host_is_cut_off_for_a_while(
    chaos: Chaos, old: Upgrading
) -> None:
    fault = Fault(Kind.RESTART, "db", task="Dump, and check the dump", after=0.0, seconds=5)
    one = Upgrade(chaos, old, fault)
    one.go()
    assert (one.wrong, one.ends) == ([], ["upgrade 0"]), "\n".join(one.said)


@pytest.mark.series
def test_upgrades_under_faults_at_random_steps(chaos: Chaos, old: Upgrading) -> None:
    plain = old.upgrade().ended(0)
    tasks = sum(line.startswith("TASK ") for line in plain.out.splitlines())
    failures = []
    for seed in range(SEED, SEED + RUNS):
        one = Upgrade(chaos, old, drawn(seed, HOSTS, tasks))
        one.go()
        ended = f"{', '.join(one.ends)} in {one.seconds:.0f} s"
        print(f"seed {seed}: {one.fault}: {ended}", flush=True)  # noqa: T201 - a long series
        if one.wrong:
            said = "\n".join(one.said)
            failures.append(f"seed {seed}: {one.fault}: {ended}: {'; '.join(one.wrong)}\n{said}")
            print(f"FAILED {failures[-1]}", flush=True)  # noqa: T201
    print(f"network: {RUNS} runs, {len(failures)} failures, first seed {SEED}")  # noqa: T201
    assert not failures, "\n\n".join(failures)
