"""Locks on folders: held by an open file, so that they end with the process that holds them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbops.base.errors import LabError


@contextmanager
def folder_lock(folder: Path, *, deadline: float, busy: str = "") -> Iterator[None]:
    """Hold `folder` alone. It is made when it is not there, and may be removed while held.

    Waits at most `deadline` seconds, then raises LabError with the text `busy`.
    """
    until = time.monotonic() + deadline
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _taken(handle) and _still_there(handle, folder):
                yield
                return
        finally:
            os.close(handle)
        if time.monotonic() >= until:
            raise LabError(
                busy or f"another nbops has been working in {folder} for {deadline:.0f} s",
                hint="wait until it is done, then try again",
            )
        time.sleep(0.1)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(handle: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False
