"""Where a runbook is found when it is called by its name, and what the user adds to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import nbops
from nbops.base.errors import Place, Problem, UsageError
from nbops.base.yamlpos import did_you_mean

if TYPE_CHECKING:
    from nbops.runbook.model import Runbook
    from nbops.runbook.spec import Catalog

_ENDINGS = (".yml", ".yaml")
HOOKS = "hooks"
_WHEN = ("before", "after")


def find(name: str, inventory: Path) -> Path:
    """The runbook's file: a path as it is; a name in the user's `runbooks/` beside the
    inventory, else among those that come with nbops.

    Raises UsageError when there is none.
    """
    if os.sep in name or name.endswith(_ENDINGS):
        path = Path(name)
        if path.is_file():
            return path
        if path.exists():
            raise UsageError(f"{name} is not a file", hint="name the runbook's file itself")
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


def load(path: Path, inventory: Path, catalog: Catalog) -> Runbook:
    """The runbook in a file, with the user's hooks around it when it is called by its name.

    Raises UsageError with everything that is wrong in it, in its hooks and what they import.
    """
    from nbops.runbook.load import load_runbook

    before, after = hooks(path, inventory)
    return load_runbook(path, catalog, overlay=overlay(path, inventory), before=before, after=after)


def overlay(path: Path, inventory: Path) -> tuple[Path, ...]:
    """The folders whose files replace those that this runbook imports: the user's own, for
    one that comes with nbops."""
    own = beside(inventory)
    return (own,) if _is_in(path, shipped()) and own.is_dir() else ()


def hooks(path: Path, inventory: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The user's runbooks to play before and after this one: `hooks/before-NAME.yml` and
    `hooks/after-NAME.yml` in `runbooks/` beside the inventory.

    They belong to runbooks that are found by name. Raises UsageError when the name of a file
    there is that of no runbook's hook.
    """
    if not has_name(path, inventory):
        return (), ()
    own = beside(inventory)
    folder = own / HOOKS
    if stray := _stray(folder, {*names(own), *names(shipped())}):
        raise UsageError.of(stray)
    found = (_files(folder, f"{when}-{path.stem}") for when in _WHEN)
    before, after = found
    return before, after


def has_name(path: Path, inventory: Path) -> bool:
    """Whether a runbook is one that is found by its name: the user's own or ours."""
    return any(_is_in(path, folder) for folder in (beside(inventory), shipped()))


def _files(folder: Path, stem: str) -> tuple[Path, ...]:
    there = [folder / f"{stem}{ending}" for ending in _ENDINGS]
    return tuple(path for path in there if path.is_file())[:1]


def stray_hooks(inventory: Path) -> list[Problem]:
    """What is wrong with the names of the hooks beside an inventory."""
    own = beside(inventory)
    return _stray(own / HOOKS, {*names(own), *names(shipped())})


def _stray(folder: Path, known: set[str]) -> list[Problem]:
    valid = {f"{when}-{name}" for when in _WHEN for name in known}
    problems = []
    for stem in names(folder):
        hint = did_you_mean(stem, valid)
        if stem not in valid and (hint or stem.startswith(tuple(f"{when}-" for when in _WHEN))):
            place = Place(str(_files(folder, stem)[0]), 1)
            problems.append(Problem(f"`{stem}` is the hook of no runbook", place, hint))
    return problems


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().parent == folder.resolve()


def names(folder: Path) -> list[str]:
    """The names of the runbooks in a folder, sorted."""
    return [path.stem for path in files(folder)]


def files(folder: Path) -> list[Path]:
    """The YAML files in a folder, by name."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS)


def beside(inventory: Path) -> Path:
    """The user's own folder of runbooks."""
    folder = inventory if inventory.is_dir() else inventory.parent
    return folder / "runbooks"


def shipped() -> Path:
    """The runbooks that come with nbops: in the installed package, or in its source tree."""
    package = Path(nbops.__file__).parent
    installed = package / "shipped" / "runbooks"
    return installed if installed.is_dir() else package.parent / "runbooks"
