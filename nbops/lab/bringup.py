"""Bringing machines up: their disks first, then all of them at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nbops.base.errors import LabError
from nbops.base.events import Emit
from nbops.lab import images, machine
from nbops.lab.events import LabStep
from nbops.lab.layout import REGISTRY_PORT, App, Machine, Role, Runtime
from nbops.lab.machine import Site
from nbops.lab.shell import run
from nbops.lab.state import Record, write_file

UPGRADE_VERSION = "2.2.16"
_REGISTRY_DEADLINE = 60


class Builder(Protocol):
    """Makes something of an app in these versions, or takes it from the cache."""

    def __call__(self, app: App, versions: Sequence[str], cache: Path, emit: Emit) -> Path: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a lab has its app from: the folder of a registry's storage with the images, and
    the packed folders, with `{version}` in their path."""

    images: Builder
    packages: Builder


def link_images(site: Site, record: Record, cache: Path, sources: Sources, emit: Emit) -> None:
    """Have the app made, or found in the cache, and remember for the lab where it is."""
    shape, link = record.shape, site.folders.images
    versions = tuple(dict.fromkeys((shape.version, UPGRADE_VERSION)))
    if not link.is_dir():
        folder = sources.images(shape.app, versions, cache, emit)
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    if shape.runtime is not Runtime.COMPOSE and not site.folders.packages.is_dir():
        packed = str(sources.packages(shape.app, versions, cache, emit))
        site.folders.packages.mkdir()
        for version in versions:
            name = site.folders.package.format(version=version)
            Path(name).symlink_to(packed.format(version=version))


def prepare(site: Site, pool: Executor) -> None:
    """Put all disks together; new ones get their identity, and their keys become known."""
    site.folders.storage.mkdir(exist_ok=True)
    if not site.folders.key.exists():
        comment = f"nbops-lab-{site.lab}"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", site.folders.key])
    keys = list(pool.map(lambda each: _prepare_one(site, each), site.machines))
    machine.write_names(site)
    lines = (f"{m.address} {key}\n" for m, key in zip(site.machines, keys, strict=True))
    write_file(site.folders.known_hosts, "".join(lines))


def boot_all(
    site: Site,
    pool: Executor,
    linked: Future[None],
    ssh: Callable[[Machine], list[str]],
    emit: Emit,
) -> None:
    """Start every machine that stands still and wait until all are ready.

    The registry waits until its images are `linked`, the others do not. Raises the first
    LabError when all have come to an end.
    """

    def start(each: Machine) -> None:
        if each.role is Role.REGISTRY:
            linked.result()
        boot(site, each, ssh(each), emit)

    boots = [pool.submit(start, each) for each in site.machines]
    wait(boots)
    for done in boots:
        done.result()


def boot(site: Site, target: Machine, ssh: Sequence[str], emit: Emit) -> None:
    """Start one machine and wait until it is ready. LabError if it does not come up."""
    if machine.is_running(site, target):
        return
    began = time.monotonic()
    keeper = machine.start(site, target)
    machine.wait_until_ready(site, target, ssh, keeper)
    if target.role is Role.REGISTRY:
        _wait_for_port(target.address, REGISTRY_PORT)
    seconds = time.monotonic() - began
    emit(LabStep(name=target.host, message=f"up at {target.address}", seconds=seconds))


def _built_images(app: App, versions: Sequence[str], cache: Path, emit: Emit) -> Path:
    return images.ensure(app.value, versions, cache, emit).folder


def _built_packages(app: App, versions: Sequence[str], cache: Path, emit: Emit) -> Path:
    return Path(images.ensure_folders(app.value, versions, cache, emit))


BUILT = Sources(_built_images, _built_packages)
"""The real app, built from its packages."""


def _prepare_one(site: Site, each: Machine) -> str:
    machine.mount_disk(site, each)
    known = site.folders.machine(each.host).public_key
    if not known.exists():
        write_file(known, machine.configure(site, each))
    return known.read_text(encoding="ascii")


def _wait_for_port(address: str, port: int) -> None:
    until = time.monotonic() + _REGISTRY_DEADLINE
    while True:
        try:
            with socket.create_connection((address, port), timeout=1):
                return
        except OSError as error:
            if time.monotonic() > until:
                message = f"nothing listens on {address}:{port} after {_REGISTRY_DEADLINE} s"
                raise LabError(message) from error
            time.sleep(0.1)
