"""Whether a process that took the lock is still there, as far as its own computer can tell."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """What names this process on this computer: machine, boot, id, start."""
    return f"{_machine()}:{_boot()}:{os.getpid()}:{_started(os.getpid())}"


def gone(process: str) -> bool:
    """Whether a process that `this_process` named is known to have ended; False when it may
    run on another computer."""
    try:
        machine, boot, number, start = process.split(":")
    except ValueError:
        return False
    if machine != _machine():
        return False
    return boot != _boot() or _started(int(number)) != start


def _boot() -> str:
    return _BOOT.read_text("utf-8").strip()


def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text("utf-8").strip() or socket.gethostname()
    except OSError:
        return socket.gethostname()


def _started(number: int) -> str:
    """When a process began, in the kernel's ticks; empty when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
