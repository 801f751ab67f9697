"""`group_vars/` and `host_vars/`: which files hold the variables of a group or host."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nbops.base.errors import Place, Problem, UsageError
from nbops.base.paths import inside
from nbops.base.yamlpos import YamlMap, load_file, nearest
from nbops.inventory.merge import merge_layers
from nbops.inventory.tree import check_variable_names

EXTENSIONS = ("", ".yml", ".yaml", ".json")


@dataclass
class VarsFiles:
    """Reads the variables of groups or hosts from one folder; collects every mistake.

    What lies outside of the folder above it, by `..` or by a symbolic link, is not looked at.
    """

    folder: Path
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def of(self, name: str) -> YamlMap:
        """The variables of this group or host; empty when there is no file for it."""
        layers = [layer for path in self.files_of(name) if (layer := self._read(path))]
        return layers[0] if len(layers) == 1 else merge_layers(layers)

    def files_of(self, name: str) -> list[Path]:
        """The files of a name: of `NAME`, `NAME.yml`, `NAME.yaml` and `NAME.json` the first
        that is there; of a folder all files in it, by name, folders in it too."""
        if name.startswith("/") or not self.folder.is_dir():
            return []
        there = [
            path
            for extension in EXTENSIONS
            if (path := self.folder / f"{name}{extension}").exists()
        ]
        for ignored in there[1:]:
            self.warnings.append(
                Problem(
                    f"{ignored} is not read: {there[0].name} stands beside it",
                    Place(str(ignored), 1),
                    "keep one of the two (Ansible reads the same one)",
                )
            )
        if not there:
            return []
        return self._files_in(there[0]) if there[0].is_dir() else [there[0]]

    def misspelt(self, names: set[str]) -> list[Problem]:
        """Files whose name is like one of `names`, and none of them."""
        if not self.folder.is_dir() or not self._ours(self.folder):
            return []
        found = []
        for path in sorted(self.folder.iterdir()):
            stem = path.name.removesuffix(path.suffix) if path.suffix in EXTENSIONS else path.name
            like = None if stem in names or path.name.startswith(".") else nearest(stem, names)
            if like and not (path.name in names or path.name.endswith("~")):
                found.append(
                    Problem(
                        f"{path} belongs to no {self.folder.name.removesuffix('_vars')}",
                        Place(str(path), 1),
                        f"did you mean `{like}`?",
                    )
                )
        return found

    def _files_in(self, folder: Path, above: frozenset[Path] = frozenset()) -> list[Path]:
        real = folder.resolve()
        if real in above:
            return []
        if not self._ours(folder):
            return [folder]  # `_read` refuses it
        found: list[Path] = []
        for path in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if path.name.startswith(".") or path.name.endswith("~"):
                continue
            if path.is_dir():
                found += [] if path.suffix else self._files_in(path, above | {real})
            elif path.is_file() and path.suffix in EXTENSIONS:
                found.append(path)
        return found

    def _ours(self, path: Path) -> bool:
        return inside(path, [self.folder.parent])

    def _read(self, path: Path) -> YamlMap | None:
        if not self._ours(path):
            root = self.folder.parent.resolve()
            self.problems.append(
                Problem(
                    f"{path} leads to {path.resolve()}, which is outside of {root}",
                    Place(str(path), 1),
                    f"files of variables stand in {root} or below: put a copy there",
                )
            )
            return None
        try:
            data = load_file(path)
        except UsageError as error:
            self.problems += error.problems
            return None
        if data is None:
            return None
        if not isinstance(data, YamlMap):
            self.problems.append(
                Problem("a file of variables holds a mapping", Place(str(path), 1))
            )
            return None
        problems, warnings = check_variable_names(data)
        self.problems += problems
        self.warnings += warnings
        return data
