"""What must be so on the box before a lab is made: each failing in one clear line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from nbops.base.errors import LabError
from nbops.lab import images

# Program → the Debian package that it comes from; those for building images included.
PROGRAMS: Mapping[str, str] = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "chroot": "coreutils",
    "apt-get": "apt",
    **images.REQUIRED_PACKAGES,
}
REQUIRED_PACKAGES = tuple(sorted(set(PROGRAMS.values())))

# On disk, measured: the base tree 1.3 GB and as much again while it is built; a node's
# Docker folder with two NocoBase images 2.5 GB.
BASE_GIGABYTES = 4.0
LAB_GIGABYTES = 1.0
NODE_GIGABYTES = 3.0


def check_operator() -> None:
    """Raise LabError unless this is root on Linux."""
    if sys.platform != "linux":
        raise LabError(
            f"a lab needs Linux, and this is {sys.platform}",
            hint="run it on a Debian 12 machine or virtual machine",
        )
    if os.geteuid() != 0:
        raise LabError("a lab needs root: it starts machines", hint="run it again with sudo")


def check_programs() -> None:
    """Raise LabError with the command that installs what is missing."""
    missing = {package for program, package in PROGRAMS.items() if not _is_here(program)}
    if missing:
        packages = " ".join(sorted(missing))
        raise LabError(
            f"missing on this machine: {packages}",
            hint=f"run `apt-get install -y --no-install-recommends {packages}`",
        )


def check_disk(folder: Path, gigabytes: float, what: str) -> None:
    """Raise LabError when `folder` has less room than `what` needs."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if free < gigabytes:
        raise LabError(
            f"too little room at {folder}: {what} needs {gigabytes:.1f} GB, {free:.1f} GB are free",
            hint="make room there; `nbops lab down --all` removes the labs that stand",
        )


def _is_here(program: str) -> bool:
    places = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin:/sbin"
    return shutil.which(program, path=places) is not None
