"""Control groups: every machine has one of its own, in every hierarchy of the box.

This serves two ends. The systemd in a machine must find its groups empty and not meet
those of its neighbours. And whatever a machine started, however deep, is found in its
groups and nowhere else: that is the proof by which `down` ends processes.

The groups lie at `nbops-lab/NAME/HOST` below the top of each hierarchy, as those of
Docker's cgroupfs driver do. On the unified hierarchy a group with members cannot hand
controllers down, so the programs that watch over the machines are in a group beside
(`watch`), never in one between.

Tried: one hierarchy a controller, on a box without systemd; and a unified hierarchy without
controllers (the kernel's were taken by the old ones). Handing controllers down is written
after cgroups(7) and was not tried.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from nbops.base.errors import LabError
from nbops.lab.mounts import Mount, read_mounts

TOP = Path("/sys/fs/cgroup")
WATCH = "watch"
_ALL_LABS = "nbops-lab"
_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


class Mode(StrEnum):
    """How control groups are mounted on the box."""

    LEGACY = "one hierarchy a controller"
    UNIFIED = "unified"


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """The control-group hierarchies of a box."""

    mode: Mode
    tops: tuple[Path, ...]

    def folders(self, lab: str, group: str = "") -> tuple[Path, ...]:
        """The folder of a lab, or of one group in it, in every hierarchy."""
        return tuple(top / _ALL_LABS / lab / group for top in self.tops)


def read_hierarchies() -> Hierarchies:
    """The hierarchies of this box. LabError when there are none."""
    return hierarchies(read_mounts())


def hierarchies(mounts: Sequence[Mount]) -> Hierarchies:
    """The hierarchies among `mounts`. LabError when there are none."""
    here = {m.folder: m.kind for m in mounts if m.folder.is_relative_to(TOP)}
    if here.get(TOP) == "cgroup2":
        return Hierarchies(Mode.UNIFIED, (TOP,))
    tops = tuple(folder for folder, kind in here.items() if kind in {"cgroup", "cgroup2"})
    if not tops:
        raise LabError(
            f"no control groups are mounted under {TOP}",
            hint="the machines need them; start the box with systemd, or mount them",
        )
    return Hierarchies(Mode.LEGACY, tops)


def make(here: Hierarchies, lab: str, group: str) -> None:
    """Make the group of a machine (or of the watchers) in every hierarchy."""
    for top, folder in zip(here.tops, here.folders(lab, group), strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        line = [top, top / _ALL_LABS, folder.parent]
        if here.mode is Mode.UNIFIED:
            _hand_down(line)
        elif (top / "cpuset.cpus").exists() or (top / "cpuset.effective_cpus").exists():
            _copy_cpuset([*line, folder])


def members(here: Hierarchies, lab: str, group: str = "") -> frozenset[int]:
    """The ids of all processes of a lab, or of one group of it, at any depth."""
    return frozenset(pid for folder in here.folders(lab, group) for pid in _members_below(folder))


def remove(here: Hierarchies, lab: str, *, deadline: float = 2) -> bool:
    """Remove the lab's groups; False when some still have members at the deadline."""
    until = time.monotonic() + deadline
    for folder in here.folders(lab):
        while folder.exists():
            for path in _deepest_first(folder):
                with suppress(OSError):
                    path.rmdir()
            if folder.exists() and time.monotonic() > until:
                return False
            time.sleep(0.01)
        with suppress(OSError):  # other labs may be in it
            folder.parent.rmdir()
    return True


def labs(here: Hierarchies) -> frozenset[str]:
    """The names of all labs that have control groups."""
    found = (top / _ALL_LABS for top in here.tops)
    return frozenset(
        entry.name
        for folder in found
        if folder.is_dir()
        for entry in folder.iterdir()
        if entry.is_dir()
    )


def _hand_down(line: Sequence[Path]) -> None:
    for folder in line:
        offered = (folder / "cgroup.controllers").read_text(encoding="ascii").split()
        for controller in _CONTROLLERS:
            if controller in offered:
                (folder / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")


def _copy_cpuset(line: Sequence[Path]) -> None:
    # A new group of this controller has no processors and no memory, and takes no members.
    for above, folder in pairwise(line):
        for name in ("cpuset.cpus", "cpuset.mems"):
            target = folder / name
            if not target.read_text(encoding="ascii").strip():
                target.write_text((above / name).read_text(encoding="ascii"), encoding="ascii")


def _members_below(folder: Path) -> Iterator[int]:
    for path in _deepest_first(folder):
        with suppress(OSError):  # groups come and go while we look
            for word in (path / "cgroup.procs").read_text(encoding="ascii").split():
                if word != "0":
                    yield int(word)


def _deepest_first(folder: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(folder, topdown=False):
        yield Path(path)
