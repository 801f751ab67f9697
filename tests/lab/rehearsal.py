"""A lab under test, and what a lab may have left on the box."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from nbops.base.events import Event
from nbops.lab import cgroups, network
from nbops.lab.lab import Lab, list_labs
from nbops.lab.layout import Subnet, find_machine
from nbops.lab.locks import folder_lock
from nbops.lab.shell import last_lines
from nbops.lab.state import STATE_ROOT, read_record

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
    with folder_lock(STATE_ROOT, deadline=60):  # no other lab begins meanwhile
        if not list_labs():
            found += [f"route {line}" for line in _lines(["ip", "route"], "blackhole 198.18.")]
            places += [*NSPAWN.glob("*/*"), *filter(Path.is_file, STATE_ROOT.iterdir())]
    return found + [f"path {place}" for place in places if place.exists()]


def _lines(command: list[str], word: str) -> list[str]:
    shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return [line for line in shown.splitlines() if word in line]
