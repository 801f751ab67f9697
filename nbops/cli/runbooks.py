"""Where a runbook is found when it is called by its name."""

from __future__ import annotations

import os
from pathlib import Path

import nbops
from nbops.base.errors import UsageError
from nbops.base.yamlpos import did_you_mean

_ENDINGS = (".yml", ".yaml")


def find(name: str, inventory: Path) -> Path:
    """The runbook's file: a path as it is; a name in the user's `runbooks/` beside the
    inventory, else among those that come with nbops.

    Raises UsageError when there is none.
    """
    if os.sep in name or name.endswith(_ENDINGS):
        path = Path(name)
        if path.is_file():
            return path
        raise UsageError(f"{name}: no such runbook")
    folders = (beside(inventory), shipped())
    for folder in folders:
        for ending in _ENDINGS:
            path = folder / f"{name}{ending}"
            if path.is_file():
                return path
    known = sorted({one for folder in folders for one in names(folder)})
    hint = did_you_mean(name, known) or f"there are: {', '.join(known) or 'none'}"
    raise UsageError(f"there is no runbook `{name}`", hint=hint)


def names(folder: Path) -> list[str]:
    """The names of the runbooks in a folder, sorted."""
    if not folder.is_dir():
        return []
    return sorted(path.stem for path in folder.iterdir() if path.suffix in _ENDINGS)


def beside(inventory: Path) -> Path:
    """The user's own folder of runbooks."""
    folder = inventory if inventory.is_dir() else inventory.parent
    return folder / "runbooks"


def shipped() -> Path:
    """The runbooks that come with nbops: in the installed package, or in its source tree."""
    package = Path(nbops.__file__).parent
    installed = package / "shipped" / "runbooks"
    return installed if installed.is_dir() else package.parent / "runbooks"
