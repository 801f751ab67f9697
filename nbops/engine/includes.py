"""Tasks that are included while a run goes."""

from __future__ import annotations

from pathlib import Path

from nbops.base.errors import ActionFailed, UsageError
from nbops.engine.strategy import Loader
from nbops.runbook.load import load_tasks
from nbops.runbook.model import Node, Task
from nbops.runbook.spec import Catalog


def include_loader(catalog: Catalog, root: Path) -> Loader:
    """Reads included files: relative to the including task's file, never outside `root`.

    The loader raises ActionFailed for a file that cannot be had or is wrong.
    """
    known: dict[tuple[Path, str], tuple[Node, ...]] = {}

    def load(file: str, task: Task) -> tuple[Node, ...]:
        path = _found(file, task, root)
        key = (path, task.path)
        if key not in known:
            try:
                known[key] = load_tasks(path, catalog, task.path, root=root)
            except UsageError as error:
                raise ActionFailed.of(error.problems) from None
        return known[key]

    return load


def _found(file: str, task: Task, root: Path) -> Path:
    for folder in (task.folder, task.folder / "tasks", root):
        path = folder / file
        if path.exists():
            if path.resolve().is_relative_to(root.resolve()):
                return path
            raise ActionFailed(
                f"{file} lies outside the runbook's folder",
                place=task.place,
                hint=f"put it below {root}",
            )
    raise ActionFailed(
        f"{file}: no such file of tasks", place=task.place, hint=f"looked beside {task.folder}"
    )
