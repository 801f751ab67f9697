"""Machines for tests, and what a lab may have left on the box."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nbops.base.events import Emit, Event
from nbops.lab import cgroups, network
from nbops.lab.lab import Lab, list_labs
from nbops.lab.layout import App, Subnet, find_machine
from nbops.lab.shell import last_lines
from nbops.lab.state import CACHE, STATE_ROOT, read_record

NSPAWN = Path("/run/systemd/nspawn")


@dataclass
class Rehearsal:
    """A lab under test, with all events that it sent."""

    lab: Lab
    events: list[Event] = field(default_factory=list)

    def on(self, host: str, line: str) -> str:
        """What a shell line prints on a machine; the test fails when the line does."""
        record = read_record(self.lab.folders)
        assert record is not None
        ssh = self.lab.ssh_command(find_machine(host, record.machines))
        done = subprocess.run([*ssh, line], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{host}: {line}\n{done.stderr}\n{self.log(host)}"
        return done.stdout

    def log(self, host: str) -> str:
        """The end of what a machine logged."""
        return last_lines(self.lab.machine_log(host), 30)


@pytest.fixture(scope="session")
def no_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage of a registry that holds nothing: enough for the machines themselves."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def new_lab(no_images: Path) -> Iterator[Callable[..., Rehearsal]]:
    """Makes labs under names of their own; those that stand at the end are removed."""
    made: list[Rehearsal] = []

    def images(app: App, versions: Sequence[str], cache: Path, emit: Emit) -> Path:
        return no_images

    def make(cache: Path = CACHE) -> Rehearsal:
        events: list[Event] = []
        name = f"t-{uuid.uuid4().hex[:8]}"
        made.append(Rehearsal(Lab(name, events.append, cache=cache, images=images), events))
        return made[-1]

    yield make
    for each in made:
        if each.lab.name in list_labs():
            each.lab.down()


@pytest.fixture(scope="session")
def two_nodes(new_lab: Callable[..., Rehearsal]) -> Rehearsal:
    """A lab that stands, with two nodes, shared by all tests that do no harm to it."""
    rehearsal = new_lab()
    rehearsal.lab.up(2, "sample")
    return rehearsal


def traces(name: str, subnet: Subnet | None) -> list[str]:
    """All that is on this box of a lab that is gone: empty when nothing is.

    The blackhole counts when no other lab needs it.
    """
    folder = str(STATE_ROOT / name)
    found = [f"process {line}" for line in _lines(["ps", "axww", "-o", "pid,args"], folder)]
    found += [f"mount {line}" for line in _lines(["cat", "/proc/self/mountinfo"], name)]
    places = [
        STATE_ROOT / name,
        network.namespace(name),
        *cgroups.read_hierarchies().folders(name),
    ]
    if subnet is not None:
        prefix = str(subnet.network).partition("/")[0].rpartition(".")[0] + "."
        found += [f"link {line}" for line in _lines(["ip", "-o", "link"], f" {subnet.outer}@")]
        found += [f"route {line}" for line in _lines(["ip", "route"], prefix)]
        places += NSPAWN.glob(f"*/*-{subnet.number}")
    if not list_labs():
        found += [f"route {line}" for line in _lines(["ip", "route"], "blackhole 198.18.")]
        places += [*NSPAWN.glob("*/*"), *STATE_ROOT.glob("*")]
    return found + [f"path {place}" for place in places if place.exists()]


def _lines(command: list[str], word: str) -> list[str]:
    shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return [line for line in shown.splitlines() if word in line]
