"""What a load carries along: the problems found so far, the files read, where names lead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbops.base.errors import Place, Problem, UsageError
from nbops.base.paths import inside
from nbops.base.yamlpos import load_file
from nbops.runbook.model import Node
from nbops.runbook.spec import Catalog


class Outside:
    """The answer for a name that leads out of the folders where files may stand."""


@dataclass
class Reading:
    """One load of a runbook with all that it imports.

    `root` is the folder that nothing may lead out of; `overlay` are folders whose files
    replace those of the same name. `included` has the tasks of each file that a task includes
    by name: under the folder of that task and the name.
    """

    catalog: Catalog
    root: Path
    overlay: tuple[Path, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    files: dict[Path, None] = field(default_factory=dict)
    checked: dict[Path, tuple[Node, ...]] = field(default_factory=dict)
    included: dict[tuple[Path, Any], tuple[Node, ...]] = field(default_factory=dict)
    plays: int = 0

    def next_play(self) -> int:
        """The number of the play that is read now."""
        self.plays += 1
        return self.plays - 1

    def add(self, message: str, place: Place | None = None, hint: str | None = None) -> None:
        """Note a problem and go on."""
        self.problems.append(Problem(message, place, hint))

    def extend(self, problems: Sequence[Problem]) -> None:
        """Note several problems."""
        self.problems.extend(problems)

    def yaml(self, path: Path) -> Any:
        """The YAML of a file; None when it cannot be had, which is noted."""
        self.note_file(path)
        try:
            return load_file(path)
        except UsageError as error:
            self.extend(error.problems)
            return None

    def note_file(self, path: Path) -> None:
        """Count a file among those that the runbook is made of."""
        self.files[path] = None

    def look(
        self,
        name: str,
        folders: Iterable[Path],
        *,
        extra: Iterable[Path] = (),
        kind: Callable[[Path], bool] = Path.is_file,
    ) -> Path | Outside | None:
        """The first of `folders` in which `name` is, of the `kind`; None when it is in none.

        What lies outside the runbook's folder, the overlays and the `extra` ones, by `..` or
        by a link, is not looked at.
        """
        roots = (self.root, *self.overlay, *extra)
        outside = False
        for folder in folders:
            try:
                path = Path(os.path.normpath(folder / name))
                if not inside(path, roots):
                    outside = True
                elif kind(path):
                    return path
            except (OSError, ValueError):  # a name that no file can have
                continue
        return Outside() if outside else None

    def finish(self) -> None:
        """Raise UsageError with all problems, in the order of the files and lines."""
        if not self.problems:
            return
        order = [str(path) for path in self.files]
        raise UsageError.of(
            sorted(dict.fromkeys(self.problems), key=lambda problem: _rank(problem, order))
        )


def _rank(problem: Problem, order: Sequence[str]) -> tuple[int, int, int]:
    place = problem.place
    if place is None:
        return (-1, 0, 0)
    known = order.index(place.file) if place.file in order else len(order)
    return (known, place.line, place.column)


@dataclass(frozen=True)
class Source:
    """A file that is being read, and the files that led to it, the first one first."""

    reading: Reading
    path: Path
    chain: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self.path.parent

    def add(self, message: str, place: Place | None = None, hint: str | None = None) -> None:
        """Note a problem."""
        self.reading.add(message, place, hint)

    def to(self, name: str, place: Place | None, sub: str = "") -> Source | None:
        """The file that `name` leads to from here; None, with a problem, when it may not."""
        path = self.find(name, place, sub)
        if path is None:
            return None
        chain = (*self.chain, self.path)
        real = path.resolve()
        if any(one.resolve() == real for one in chain):
            names = " → ".join(one.name for one in (*chain, path))
            self.add(f"`{name}` leads back to itself: {names}", place)
            return None
        return Source(self.reading, path, chain)

    def find(self, name: str, place: Place | None, sub: str = "") -> Path | None:
        """The path of a file beside this one, in `sub` there, or in the runbook's folder."""
        reading = self.reading
        own = inside(self.folder, reading.overlay)
        over = [folder / part for folder in reading.overlay for part in ("", sub)]
        here = [self.folder, self.folder / sub]
        folders = ([*here, *over] if own else [*over, *here]) + [reading.root]
        path = reading.look(name, folders)
        if isinstance(path, Outside):
            hint = "files of a runbook stand in its folder or below"
            self.add(f"`{name}` leads out of the runbook's folder", place, hint)
            return None
        if path is None:
            self.add(f"`{name}`: no such file beside {self.path.name}", place)
        return path
