"""Two computers that want the same cluster at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.machines import Chaos

_DEADLINE = 180
PLAY = """
- hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: first
      shell: |
        echo "{{ nbops_run }}" >> /run/chaos-first
        until [ -e /run/chaos-go ]; do sleep 0.1; done
      ignore_errors: true
    - name: second
      shell: echo "{{ nbops_run }}" >> /run/chaos-second
"""


@dataclass
class Controllers:
    """Computers that run the same runbook, each from a home of its own."""

    chaos: Chaos
    folder: Path
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    def begin(self, home: str, *arguments: str) -> subprocess.Popen[str]:
        """A command from one of them."""
        place = self.folder / home
        place.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "nbops", *arguments, "-i", str(self.chaos.cluster.inventory)],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(place), "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.begun.append(process)
        return process

    def run(self, home: str) -> subprocess.Popen[str]:
        """The runbook from one of them."""
        return self.begin(home, "run", str(self.folder / "play.yml"), "--plain")

    def clear(self) -> None:
        """As before the first run."""
        self.chaos.on("rm -f /run/chaos-*")

    def let_go(self) -> None:
        """The first task may end."""
        self.chaos.on("touch /run/chaos-go")

    def done(self, which: str) -> dict[str, list[str]]:
        """The runs that did a task, on each host."""
        said = self.chaos.on(f"cat /run/chaos-{which} 2>/dev/null; true")
        return {host: text.split() for host, text in said.items()}


@pytest.fixture
def controllers(chaos: Chaos, tmp_path: Path) -> Iterator[Controllers]:
    (tmp_path / "play.yml").write_text(PLAY)
    made = Controllers(chaos, tmp_path)
    made.clear()
    yield made
    made.let_go()
    for process in made.begun:
        process.kill()
        process.communicate(timeout=_DEADLINE)
    made.clear()


def race(controllers: Controllers) -> None:
    """Two at once: one wins, the other one is told who has it, and nothing was done by both."""
    controllers.clear()
    both = [controllers.run(home) for home in ("one", "other")]
    end = time.monotonic() + _DEADLINE
    while all(one.poll() is None for one in both):
        assert time.monotonic() < end
        time.sleep(0.05)
    controllers.let_go()
    said = [process.communicate(timeout=_DEADLINE)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 5], "\n\n".join(said)
    runs = set().union(*controllers.done("second").values())
    assert len(runs) == 1
    loser = said[codes.index(5)]
    assert f"(run {runs.pop()}" in loser, loser


@pytest.mark.lab
def test_of_two_that_start_at_once_one_wins_and_the_other_names_it(
    controllers: Controllers,
) -> None:
    for _ in range(5):
        race(controllers)


@pytest.mark.lab
@pytest.mark.series
def test_a_hundred_races_have_a_hundred_winners(controllers: Controllers) -> None:
    number = int(os.environ.get("CHAOS_RACES", "100"))
    for done in range(number):
        race(controllers)
        print(f"two controllers: {done + 1} races, 0 failures", flush=True)  # noqa: T201


@pytest.mark.lab
def test_one_that_slept_while_its_lock_was_broken_can_do_no_harm(
    controllers: Controllers,
) -> None:
    sleeper = controllers.run("one")
    end = time.monotonic() + _DEADLINE
    while not all(controllers.done("first").values()):
        assert time.monotonic() < end
        time.sleep(0.2)
    sleeper.send_signal(signal.SIGSTOP)
    try:
        run = controllers.done("first")["node1"][0]
        # A minute without a heartbeat, by the hosts' own clocks.
        controllers.chaos.on("touch -d '2 minutes ago' /var/lib/nbops/*/lock")
        breaking = controllers.begin("other", "lock", "break", run)
        out, _ = breaking.communicate(timeout=_DEADLINE)
        assert breaking.returncode == 0, out
        controllers.let_go()
    finally:
        sleeper.send_signal(signal.SIGCONT)
    out, _ = sleeper.communicate(timeout=_DEADLINE)
    assert sleeper.returncode != 0
    assert "may do nothing here any more" in out
    assert set().union(*controllers.done("second").values()) == set()
