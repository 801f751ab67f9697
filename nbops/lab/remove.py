"""Removing a lab by what is there of it, whatever an interrupted `up` wrote down or not.

Only processes that provably belong to the lab are ended: those in its control groups, and
those that run one of its scripts. Everything else is found by the lab's name or folder.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from nbops.base.errors import LabError
from nbops.lab import cgroups, network
from nbops.lab.layout import Subnet
from nbops.lab.mounts import read_mounts, under
from nbops.lab.shell import run
from nbops.lab.state import Folders

STOP_DEADLINE = 30
THROW_AWAY_DEADLINE = 5
KILL_DEADLINE = 15
SETTLE_DEADLINE = 60
DELETE_DEADLINE = 900
_NSPAWN = Path("/run/systemd/nspawn")


def stop(lab: str, folders: Folders, host: str = "", *, deadline: float = STOP_DEADLINE) -> None:
    """End a machine, or all of the lab: orderly if it is done by the deadline, else by force."""
    here = cgroups.read_hierarchies()
    scripts = folders.machine(host).runner if host else folders.machines

    def left() -> frozenset[int]:
        return cgroups.members(here, lab, host) | watchers(scripts)

    # First who would start them again, then the machines.
    _signal(watchers(scripts), signal.SIGKILL)
    _signal((pid for pid in left() if _program(pid) == "systemd-nspawn"), signal.SIGTERM)
    if not _gone(left, deadline):
        until = time.monotonic() + KILL_DEADLINE
        while pids := left():
            _signal(pids, signal.SIGKILL)
            if time.monotonic() > until:
                raise LabError(f"processes of the lab {lab} do not end: {sorted(pids)}")
            time.sleep(0.05)


def take_down(lab: str, folders: Folders, subnet: Subnet | None) -> None:
    """Remove all of a lab but its files: processes, control groups, mounts, network."""
    until = time.monotonic() + SETTLE_DEADLINE
    # Once its groups are gone, nothing of the lab can start any more: a watcher that cannot
    # join them ends at once.
    while True:
        stop(lab, folders, deadline=THROW_AWAY_DEADLINE)
        if cgroups.remove(cgroups.read_hierarchies(), lab):
            break
        if time.monotonic() > until:
            raise LabError(f"the control groups of the lab {lab} stay in use")
    locks = _nspawn_locks(folders)
    unmount(folders.root)
    network.remove(lab, subnet)
    for lock in locks:
        lock.unlink(missing_ok=True)
    if subnet is not None:
        _remove_nspawn_state(subnet)


def delete(folders: Folders) -> None:
    """Delete the lab's files, the record last: until then its subnet counts as taken.

    Nothing may be mounted there. The nodes' images make it long: half a minute a node.
    """
    if not folders.root.exists():
        return
    for path in folders.root.iterdir():
        if path != folders.record:
            run(["rm", "-rf", "--one-file-system", path], deadline=DELETE_DEADLINE)
    run(["rm", "-rf", "--one-file-system", folders.root], deadline=DELETE_DEADLINE)


def unmount(folder: Path) -> None:
    """Unmount everything at and below `folder`."""
    for mounted in under(read_mounts(), folder):
        try:
            run(["umount", mounted])
        except LabError:  # somebody's shell stands in it: it goes when they leave
            run(["umount", "--lazy", mounted])
    if left := under(read_mounts(), folder):
        raise LabError(f"still mounted: {', '.join(str(path) for path in left)}")


def watchers(scripts: Path) -> frozenset[int]:
    """The processes that run a script which is, or lies in, `scripts`."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            words = _arguments(int(entry.name))
            if len(words) == 2 and words[0] == "sh" and Path(words[1]).is_relative_to(scripts):
                found.add(int(entry.name))
    return frozenset(found)


def _gone(left: Callable[[], frozenset[int]], deadline: float) -> bool:
    until = time.monotonic() + deadline
    while left():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _program(pid: int) -> str:
    return Path(next(iter(_arguments(pid)), "")).name


def _arguments(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it ended while we looked
        return []
    return raw.decode("utf-8", "surrogateescape").rstrip("\0").split("\0")


def _nspawn_locks(folders: Folders) -> tuple[Path, ...]:
    # systemd-nspawn names them by the device and number of the machine's `/`.
    found = [path.stat() for path in folders.machines.glob("*/merged") if path.is_mount()]
    return tuple(_NSPAWN / "locks" / f"inode-{at.st_dev}:{at.st_ino}" for at in found)


def _remove_nspawn_state(subnet: Subnet) -> None:
    for kind in ("propagate", "unix-export"):
        for path in (_NSPAWN / kind).glob(f"*-{subnet.number}"):
            unmount(path)
            run(["rm", "-rf", "--one-file-system", path])
