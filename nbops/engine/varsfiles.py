"""`vars_files` of a play: read before it, or for each host where their names need one."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbops.base.errors import ActionFailed
from nbops.base.paths import inside
from nbops.base.yamlpos import load_file
from nbops.engine.variables import PlayVariables, VariableStore
from nbops.runbook.expr import Layer, Templar, Variables, is_template
from nbops.runbook.model import Play

_TEMPLATE = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)


def read_vars_files(
    play: Play, variables: PlayVariables, store: VariableStore, templar: Templar
) -> None:
    """Add the variables of the files to those of the play. A list names choices: the first
    file that is there is read.

    Names that no variable of the play gives are tried again for each host at each task, as in
    Ansible: then its facts may be known.
    """
    searched = templar.within(play.folder)
    place = play.places.get("vars_files", play.place)
    later: list[Any] = []
    for written in play.vars_files:
        try:
            named = templar.render(written, store.of_play(variables), place)
        except ActionFailed:
            later.append(written)
        else:
            variables.layers += _first(named, searched, must=not _open(written))
    if later:
        known: dict[str, list[Layer]] = {}

        def of_host(seen: Variables) -> list[Layer]:
            found: list[Layer] = []
            for written in later:
                try:
                    named = templar.render(written, seen, place)
                except ActionFailed:
                    if seen["ansible_facts"]:
                        raise
                    continue  # its facts may come with a later task
                key = repr(named)
                if key not in known:
                    known[key] = _first(named, searched, must=False)
                found += known[key]
            return found

        variables.of_host = of_host


def files_of(plays: Iterable[Play], root: Path) -> list[Path]:
    """The files that the plays may read, sorted; `root` is the runbook's folder. A name with a
    template stands for every file that fits around it; none stands outside of the folders."""
    found: set[Path] = set()
    for play in plays:
        for written in play.vars_files:
            for name in written if isinstance(written, list) else [written]:
                fitting = "*".join(glob.escape(part) for part in _TEMPLATE.split(str(name)))
                for base in (play.folder / "vars", play.folder, root / "vars", root):
                    found.update(_fitting(base / fitting, (play.folder, root)))
    return sorted(found)


def _fitting(pattern: Path, folders: Sequence[Path]) -> Iterator[Path]:
    if not inside(pattern, folders):
        return
    # Path.glob takes no name that is absolute, and one below the root may be.
    for name in glob.iglob(str(pattern)):  # noqa: PTH207
        path = Path(name)
        if path.is_file() and inside(path, folders):
            yield path


def _open(written: Any) -> bool:
    """Whether Ansible takes a missing file for none: one of several, or a template."""
    return isinstance(written, list) or is_template(written)


def _first(named: Any, templar: Templar, *, must: bool) -> list[Layer]:
    names: Sequence[Any] = named if isinstance(named, list) else [named]
    for name in names:
        try:
            path = templar.find(str(name), "vars")
        except ActionFailed:
            if must:
                raise
            continue
        return [Layer(f"vars_files {name}", _content(path), template=True)]
    return []


def _content(path: Path) -> Mapping[str, Any]:
    content = load_file(path) or {}
    if not isinstance(content, Mapping):
        raise ActionFailed(f"{path}: a file of variables is a mapping")
    return content
