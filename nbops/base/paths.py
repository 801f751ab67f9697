"""Where a path leads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def inside(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path, with `..` and symbolic links followed, is one of `folders` or below it.

    Raises ValueError for a name that no file can have.
    """
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)
