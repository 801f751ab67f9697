"""A lab: a rehearsal cluster of real machines on this box."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from nbops.base.errors import LabError
from nbops.base.events import Emit, Note
from nbops.lab import base, bringup, cgroups, checks, inventory, machine, network, recipe, remove
from nbops.lab.bringup import BUILT, Sources
from nbops.lab.events import LabStep
from nbops.lab.layout import (
    Machine,
    Wish,
    check_name,
    choose_subnet,
    find_machine,
    grows,
    wanted_shape,
)
from nbops.lab.limits import raise_limits, restore_limits
from nbops.lab.locks import folder_lock
from nbops.lab.machine import Site
from nbops.lab.state import CACHE, STATE_ROOT, Folders, Record, read_record, write_record


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """One machine as it is now."""

    host: str
    role: str
    address: str
    running: bool


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab as it is now. `complete`: an `up` came to its end."""

    name: str
    complete: bool
    nodes: int
    app: str
    version: str
    network: str
    inventory: str
    machines: tuple[MachineStatus, ...]


class Lab:
    """One lab, by its name. Every method needs root, and says so."""

    def __init__(
        self,
        name: str,
        emit: Emit,
        *,
        state_root: Path = STATE_ROOT,
        cache: Path = CACHE,
        sources: Sources = BUILT,
    ) -> None:
        self.name = check_name(name)
        self.folders = Folders(state_root / name)
        self._emit = emit
        self._cache = cache
        self._sources = sources
        self._state_root = state_root

    def up(self, wish: Wish = Wish()) -> Path:  # noqa: B008 - a frozen value
        """Make the lab, start what stands still of it, or add nodes to it. Returns the
        inventory's path.

        Raises LabError when it stands in another shape, when the box cannot bear it, or
        when a machine does not start.
        """
        wanted_shape(wish)
        checks.check_operator()
        checks.check_programs()
        self._remove_half_made()
        with self._alone():
            record = read_record(self.folders)
            self._bring_up(self._agreed(record, wish) if record else self._begin(wish))
        return self.folders.inventory

    def down(self) -> None:
        """Remove the lab and whatever an interrupted `up` left. LabError if there is none."""
        checks.check_operator()
        if self.name not in list_labs(self._state_root):
            raise LabError(f"there is no lab {self.name!r}", hint=_those_there(self._state_root))
        began = time.monotonic()
        with self._alone():
            self._remove()
        self._step("lab", f"{self.name} is removed", time.monotonic() - began)

    def status(self) -> LabStatus:
        """The lab as it is now. LabError if there is none.

        Of a lab that was interrupted before it was written down, only the name is known.
        """
        checks.check_operator()
        if not self.folders.record.exists() and self.name in list_labs(self._state_root):
            return LabStatus(self.name, False, 0, "", "", "", "", ())
        record = self._record()
        site = self._site(record)
        return LabStatus(
            name=self.name,
            complete=self.folders.inventory.exists(),
            nodes=record.shape.nodes,
            app=record.shape.app.value,
            version=record.shape.version,
            network=str(record.subnet.network),
            inventory=str(self.folders.inventory),
            machines=tuple(
                MachineStatus(m.host, m.role.value, m.address, machine.is_running(site, m))
                for m in record.machines
            ),
        )

    def ssh(self, host: str, command: Sequence[str] = ()) -> int:
        """Run the box's own ssh client to a machine on this terminal; its exit status.

        One word of `command` is taken as a line for the shell there, several as the words
        of one command.
        """
        target = find_machine(host, self._record().machines)
        line = command[0] if len(command) == 1 else shlex.join(command)
        return subprocess.call([*self.ssh_command(target), *([line] if line else [])])

    def ssh_command(self, target: Machine) -> list[str]:
        """The ssh command that reaches a machine by the lab's own key and known hosts."""
        options = (
            f"UserKnownHostsFile={self.folders.known_hosts}",
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "ConnectTimeout=10",
            "LogLevel=ERROR",
        )
        settings = [word for option in options for word in ("-o", option)]
        key = ["-i", str(self.folders.key)]
        return ["ssh", "-F", "none", *key, *settings, f"root@{target.address}"]

    def restart(self, host: str) -> None:
        """Switch a machine off and on again, on the same disk. LabError if it stays away."""
        record = self._record()
        target = find_machine(host, record.machines)
        with self._alone():
            remove.stop(self.name, self.folders, target.host)
            bringup.boot(self._site(record), target, self.ssh_command(target), self._emit)

    def machine_log(self, host: str) -> str:
        """All that a machine wrote on its console, its journal included."""
        target = find_machine(host, self._record().machines)
        return machine.log_of(self.folders.machine(target.host))

    def _alone(self) -> AbstractContextManager[None]:
        return folder_lock(
            self.folders.root,
            deadline=5,
            busy=f"another command is working on the lab {self.name!r}",
        )

    def _with_all_labs(self) -> AbstractContextManager[None]:
        return folder_lock(self._state_root, deadline=60)

    def _record(self) -> Record:
        checks.check_operator()
        record = read_record(self.folders) if self.folders.root.is_dir() else None
        if record is None:
            raise LabError(f"there is no lab {self.name!r}", hint=_those_there(self._state_root))
        return record

    def _site(self, record: Record) -> Site:
        return Site(
            lab=self.name,
            subnet=record.subnet,
            folders=self.folders,
            base=base.path_of(self._cache, record.base),
            hierarchies=cgroups.read_hierarchies(),
            machines=record.machines,
        )

    def _remove_half_made(self) -> None:
        """Clear the ground when an `up` was interrupted before the lab was ever complete."""
        if self.name not in list_labs(self._state_root):
            return
        with self._alone():
            if not (self.folders.inventory.exists() and self.folders.record.exists()):
                message = f"removing what an interrupted `up` left of the lab {self.name!r}"
                self._emit(Note(level="warning", message=message))
                self._remove()

    def _agreed(self, record: Record, wish: Wish) -> Record:
        shape = wanted_shape(wish, record.shape)
        if shape == record.shape:
            return record
        if not grows(record.shape, shape):
            raise LabError(
                f"the lab {self.name!r} stands with {record.shape}, not with {shape}",
                hint="nodes can be added to it; for all else"
                f" `nbops lab down --name {self.name}` first, or take another --name",
            )
        self._check_room(shape.nodes - record.shape.nodes)
        grown = replace(record, shape=shape)
        write_record(self.folders, grown)
        return grown

    def _begin(self, wish: Wish) -> Record:
        shape = wanted_shape(wish)
        try:
            self._check_room(shape.nodes, checks.LAB_GIGABYTES)
        except LabError:
            self.folders.root.rmdir()
            raise
        with self._with_all_labs():
            taken = [other.subnet.network for other in self._all_records()]
            subnet = choose_subnet([*taken, *network.networks_in_use()])
            record = Record(self.name, subnet, shape, recipe.fingerprint())
            write_record(self.folders, record)
        return record

    def _check_room(self, nodes: int, beside: float = 0) -> None:
        room = beside + nodes * checks.NODE_GIGABYTES
        checks.check_disk(self.folders.root, room, f"a lab's {nodes} nodes")
        if not base.path_of(self._cache, recipe.fingerprint()).is_dir():
            checks.check_disk(self._cache, checks.BASE_GIGABYTES, "the machines' base tree")

    def _all_records(self) -> list[Record]:
        found = []
        for path in filter(Path.is_dir, self._state_root.iterdir()):
            with suppress(LabError):  # a broken record holds nothing; its lab's `down` says so
                found.append(read_record(Folders(path)))
        return [record for record in found if record is not None]

    def _have_base(self, record: Record) -> None:
        """The base tree that the lab was made on; a lab never changes it under its disks."""
        tree = base.path_of(self._cache, record.base)
        if tree.is_dir():
            return
        if record.base != recipe.fingerprint():
            raise LabError(
                f"the base tree of the lab {self.name!r} is gone: {tree}",
                hint=f"`nbops lab down --name {self.name}`, then `up` again",
            )
        base.ensure(self._cache, self._emit)
        with self._with_all_labs():
            kept = [base.path_of(self._cache, each.base) for each in self._all_records()]
            base.remove_unused(self._cache, kept)

    def _bring_up(self, record: Record) -> None:
        site = self._site(record)
        complete = inventory.holds(record, self.folders)
        if complete and all(machine.is_running(site, each) for each in record.machines):
            self._step("lab", f"{self.name} is up already, with {record.shape}")
            return
        began = time.monotonic()
        with ThreadPoolExecutor(2 + len(record.machines)) as pool:
            linked = pool.submit(
                bringup.link_images, site, record, self._cache, self._sources, self._emit
            )
            self._have_base(record)
            with self._with_all_labs():
                raise_limits(self._state_root)
                if not network.is_made(self.name, record.subnet):
                    network.make(self.name, record.subnet)
            inventory.write_secrets(self.folders)
            bringup.prepare(site, pool)
            bringup.boot_all(site, pool, linked, self.ssh_command, self._emit)
        if not complete:
            self._write_inventory(record)
        self._step("lab", f"{self.name} is up, with {record.shape}", time.monotonic() - began)

    def _write_inventory(self, record: Record) -> None:
        if kept := inventory.write(record, self.folders):
            message = f"the inventory is written anew for {record.shape}; the one before is {kept}"
            self._emit(Note(level="info", message=message))

    def _remove(self) -> None:
        try:
            record = read_record(self.folders)
        except LabError:  # what is left is found without it
            record = None
        self.folders.inventory.unlink(missing_ok=True)  # from now on it is not complete
        remove.take_down(self.name, self.folders, record.subnet if record else None)
        remove.delete(self.folders)
        with self._with_all_labs():
            if not list_labs(self._state_root):
                network.remove_guard()
                restore_limits(self._state_root)
        for cache in (self._cache, self._cache / "images"):
            base.sweep(cache)

    def _step(self, name: str, message: str, seconds: float = 0.0) -> None:
        self._emit(LabStep(name=name, message=message, seconds=seconds))


def list_labs(state_root: Path = STATE_ROOT) -> tuple[str, ...]:
    """The names of all labs of which anything is there, complete or not.

    LabError unless this is root on Linux.
    """
    checks.check_operator()
    found = set(network.labs() | cgroups.labs(cgroups.read_hierarchies()))
    if state_root.is_dir():
        found |= {path.name for path in state_root.iterdir() if path.is_dir()}
    return tuple(sorted(found))


def _those_there(state_root: Path) -> str:
    names = list_labs(state_root)
    return f"there is {', '.join(names)}" if names else "`nbops lab up` makes one"
