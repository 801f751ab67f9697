"""Runbooks from files: plays, imports resolved, everything checked before anything runs.

All faults of a runbook and its imports are told at once, each with its place. Paths of nodes
are stable as long as the files are: `0.2.1` is play 0, its task 2, the task 1 within. Tasks
of `pre_tasks`, `tasks` and `post_tasks` are counted on; a letter before a number tells what
else it is part of: `h` handlers, `r` rescue, `a` always, `u` rollback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbops.base.errors import Place, UsageError
from nbops.base.yamlpos import YamlMap, YamlSeq, did_you_mean, load_file, place_of
from nbops.runbook import keywords
from nbops.runbook.expr import is_template
from nbops.runbook.keywords import KEYWORDS, Where
from nbops.runbook.kinds import convert
from nbops.runbook.model import Node, Play, Runbook, Task
from nbops.runbook.reading import Reading, Source
from nbops.runbook.spec import Catalog
from nbops.runbook.tasks import common, known, nodes, tasks_of_file, tasks_under
from nbops.runbook.whole import check_plays

_SECTIONS = ("pre_tasks", "tasks", "post_tasks")
_PLAY_WORDS = frozenset({*_SECTIONS, "hosts", "handlers", "import_playbook", "roles"})


def load_runbook(
    path: Path,
    catalog: Catalog,
    *,
    overlay: Sequence[Path] = (),
    before: Sequence[Path] = (),
    after: Sequence[Path] = (),
) -> Runbook:
    """The runbook in a file. Files of the same name in `overlay` replace those it imports;
    the plays of the runbooks `before` and `after` it are played with it.

    Raises UsageError with everything that is wrong in it and in what it imports.
    """
    reading = Reading(catalog, path.parent, tuple(overlay))
    files = (*before, path, *after)
    plays = [play for file in files for play in _plays(Source(reading, file))]
    check_plays(plays, reading)
    reading.finish()
    return Runbook(file=path, plays=tuple(plays), files=tuple(reading.files))


def load_tasks(
    path: Path,
    catalog: Catalog,
    prefix_path: str,
    *,
    root: Path | None = None,
    overlay: Sequence[Path] = (),
) -> tuple[Node, ...]:
    """The tasks in a file, for an include in the run; their paths are `prefix_path.0` and on.

    `root` is the folder that nothing may lead out of (default: the file's own), `overlay` as
    for `load_runbook`. Raises UsageError with everything that is wrong.
    """
    reading = Reading(catalog, root or path.parent, tuple(overlay))
    source = Source(reading, path)
    found = nodes(tasks_of_file(source), f"{prefix_path}.", source)
    reading.finish()
    return found


def find_tasks(
    name: str, catalog: Catalog, task: Task, *, root: Path, overlay: Sequence[Path] = ()
) -> Path:
    """The file that a task includes under this name. Raises UsageError when it may not."""
    reading = Reading(catalog, root, tuple(overlay))
    file = Path(task.place.file) if task.place else task.folder
    path = Source(reading, task.folder / file.name).find(name, task.place, "tasks")
    reading.finish()
    if path is None:
        raise UsageError(f"`{name}`: no such file of tasks", place=task.place)
    return path


def holds_tasks(path: Path) -> bool:
    """Whether a file is a list of tasks for an include, and no runbook. False when it cannot
    be read."""
    try:
        data = load_file(path)
    except UsageError:
        return False
    keys = [key for one in data if isinstance(one, dict) for key in one] if data else []
    return isinstance(data, YamlSeq) and bool(keys) and _PLAY_WORDS.isdisjoint(keys)


def load_vars(path: Path) -> YamlMap:
    """The variables in a file of `vars_files`. Raises UsageError when it holds none."""
    reading = Reading(_NoActions(), path.parent)
    data = _vars_of(Source(reading, path))
    reading.finish()
    return data


class _NoActions:
    """A catalog for files that hold no tasks."""

    def get(self, name: str) -> None:
        """No action has any name."""

    def __iter__(self) -> Any:
        return iter(())


def _vars_of(source: Source) -> YamlMap:
    data = source.reading.yaml(source.path)
    if data is None or isinstance(data, YamlMap):
        return YamlMap() if data is None else data
    source.add("a file of variables is a mapping", place_of(data) or Place(str(source.path), 1))
    return YamlMap()


def _plays(source: Source) -> list[Play]:
    raw = source.reading.yaml(source.path)
    start = Place(str(source.path), 1)
    if not isinstance(raw, YamlSeq):
        if not source.reading.problems:
            hint = "begin with `- hosts: …`"
            source.add("a runbook is a list of plays", place_of(raw) or start, hint)
        return []
    if not raw:
        source.add("the runbook holds no play", start)
    plays: list[Play] = []
    for number, one in enumerate(raw):
        place = place_of(raw, (number,))
        if not isinstance(one, YamlMap):
            source.add("a play is a mapping with `hosts` and `tasks`", place)
        elif any(isinstance(key, str) and key.endswith("import_playbook") for key in one):
            plays += _imported_plays(one, source)
        else:
            plays.append(_play(one, source))
    return plays


def _used(data: YamlMap, where: Where, source: Source) -> list[str]:
    used = []
    for key in data:
        place = data.key_places.get(key)
        keyword = KEYWORDS.get(key) if isinstance(key, str) else None
        if keyword is not None and where in keyword.where:
            used.append(key)
        elif keyword is not None:
            whose = " or a ".join(sorted(one.value for one in keyword.where))
            source.add(f"`{key}` belongs to a {whose}, not to a play", place)
        elif hint := keywords.refusal(str(key)):
            source.add(f"`{key}` of Ansible is not supported", place, hint)
        elif known(str(key), source):
            source.add(f"`{key}` is an action: put it into `tasks`", place)
        else:
            hint = did_you_mean(str(key), keywords.names(where))
            source.add(f"`{key}` is no keyword of a play", place, hint)
    return used


def _play(data: YamlMap, source: Source) -> Play:
    used = _used(data, Where.PLAY, source)
    if data.get("hosts") is None:
        source.add("a play needs `hosts`", data.place)
    path = str(source.reading.next_play())
    sections: dict[str, Any] = {}
    start = 0
    for name in _SECTIONS:
        sections[name] = tasks_under(data, name, f"{path}.", source, start=start)
        start += len(data[name]) if isinstance(data.get(name), list) else 0
    plain = [name for name in used if name not in {*_SECTIONS, "handlers", "vars_files"}]
    values = common(data, plain, source)
    values.setdefault("hosts", "")
    return Play(
        path=path,
        folder=source.folder,
        vars_files=_vars_files(data, source),
        handlers=tasks_under(data, "handlers", f"{path}.h", source, where=Where.HANDLER),
        **sections,
        **values,
    )


def _vars_files(data: YamlMap, source: Source) -> tuple[Any, ...]:
    """The files as written; those whose name is known are looked at now."""
    keyword = KEYWORDS["vars_files"]
    raw, place = data.get("vars_files"), data.value_places.get("vars_files")
    files: tuple[Any, ...] = convert(keyword, raw, place, source) or ()
    for number, one in enumerate(files):
        at = place_of(raw, (number,)) or place
        if isinstance(one, str) and not is_template(one):
            path = source.find(one, at)
            if path is not None:
                _vars_of(replace(source, path=path))
    return files


def _imported_plays(data: YamlMap, source: Source) -> list[Play]:
    """The plays of another runbook, with what the import gives them."""
    key = next(key for key in data if str(key).endswith("import_playbook"))
    if key not in {"import_playbook", "ansible.builtin.import_playbook"}:
        source.add(f"`{key}` is no keyword", data.key_places.get(key), "use `import_playbook`")
        return []
    used = _used(_without(data, key), Where.IMPORT, source)
    file, at = data[key], data.value_places.get(key)
    if not isinstance(file, str) or is_template(file):
        source.add("`import_playbook` takes the name of a file", at)
        return []
    values = common(data, used, source)
    target = source.to(file, at)
    return [_given(play, values) for play in _plays(target)] if target else []


def _without(data: YamlMap, key: Any) -> YamlMap:
    rest = YamlMap(data.place)
    for other in data:
        if other != key:
            rest.put(other, data[other], data.key_places.get(other), data.value_places.get(other))
    return rest


def _given(play: Play, values: dict[str, Any]) -> Play:
    """A play with the variables, tags and conditions of its import, as in Ansible."""
    when = values.get("when", ())

    def under(nodes_: tuple[Node, ...]) -> tuple[Node, ...]:
        return tuple(replace(node, when=(*when, *node.when)) for node in nodes_)

    changes: dict[str, Any] = {name: under(getattr(play, name)) for name in _SECTIONS}
    changes["import_when"] = (*when, *play.import_when)
    changes["vars"] = {**play.vars, **values.get("vars", {})}
    changes["tags"] = (*values.get("tags", ()), *play.tags)
    return replace(play, **changes)
