"""Tasks that are included while a run goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nbops.base.errors import ActionFailed, UsageError
from nbops.engine.strategy import Loader
from nbops.runbook.load import find_tasks, load_tasks
from nbops.runbook.model import Node, Task
from nbops.runbook.spec import Catalog


def include_loader(catalog: Catalog, root: Path, overlay: Sequence[Path] = ()) -> Loader:
    """Reads included files: relative to the including task's file, never outside `root` and
    the folders of `overlay`, whose files replace those of the same name.

    The loader raises ActionFailed for a file that cannot be had or is wrong.
    """
    known: dict[tuple[Path, str], tuple[Node, ...]] = {}

    def load(file: str, task: Task) -> tuple[Node, ...]:
        try:
            path = find_tasks(file, catalog, task, root=root, overlay=overlay)
            key = (path, task.path)
            if key not in known:
                known[key] = load_tasks(path, catalog, task.path, root=root, overlay=overlay)
        except UsageError as error:
            raise ActionFailed.of(error.problems) from None
        return known[key]

    return load
