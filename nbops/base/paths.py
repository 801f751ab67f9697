"""Where a path leads, and who may read what is there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path


def inside(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path, with `..` and symbolic links followed, is one of `folders` or below it.

    Raises ValueError for a name that no file can have.
    """
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def open_to_everyone(found: os.stat_result) -> bool:
    """Whether everyone on this computer may read or write a file: no place for a secret."""
    return bool(found.st_mode & stat.S_IRWXO)
