"""Checks that need all of a runbook: notifications that nobody answers, files that are not there.

They are made after the plays were read, so that the faults of single tasks come with them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbops.base.errors import Place
from nbops.base.yamlpos import did_you_mean, place_of
from nbops.runbook.arguments import argument_names
from nbops.runbook.expr import is_template
from nbops.runbook.model import Block, Node, Play, Task
from nbops.runbook.reading import Outside, Reading
from nbops.runbook.spec import ActionSpec
from nbops.runbook.syntax import file_problems

_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_OPTIONS = ("block_", "variable_", "comment_")


@dataclass(frozen=True)
class Local:
    """An argument that names a file on this side: its name, the value, in which subfolder
    it is looked for too."""

    name: str
    value: str
    place: Place | None
    folder: str


@dataclass
class _Found:
    """What the walk through a play has come by."""

    tasks: list[Task] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    hidden: bool = False

    @property
    def nodes(self) -> list[Node]:
        """Everything that may notify."""
        return [*self.blocks, *self.tasks]


def check_plays(plays: Sequence[Play], reading: Reading) -> None:
    """Note every notification without a handler and every file that cannot be had."""
    found = [_walked(play, reading) for play in plays]
    tasks = [task for one in found for task in one.tasks]
    made_here = any(map(_acts_here, tasks)) or any(map(_plays_here, plays))
    for play, one in zip(plays, found, strict=True):
        _check_notifications(play, one, reading)
        for task in one.tasks:
            _check_files(task, reading, missing=not made_here and id(task) not in one.expected)


def local_files(task: Task, spec: ActionSpec) -> Iterator[Local]:
    """The arguments of a task that name a file on this side, written out.

    Models mark such an argument with `json_schema_extra={"file": FOLDER}`; one that is also
    the action's free text names the file with its first word. `unless` names an argument
    that puts the file on the host.
    """
    names = argument_names(spec.args)
    given = {names.get(key, key): (key, value) for key, value in task.args.items()}
    for name, info in spec.args.model_fields.items():
        mark = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        if "file" not in mark or name not in given or _is_elsewhere(mark, given):
            continue
        key, value = given[name]
        text = _first_word(value) if name == spec.free_form else value
        if isinstance(text, str) and text and not is_template(text):
            place = place_of(task.args, (key,)) or task.place
            yield Local(key, text, place, str(mark["file"]))


def _is_elsewhere(mark: Mapping[str, Any], given: Mapping[str, tuple[Any, Any]]) -> bool:
    value = given.get(str(mark.get("unless", "")), ("", False))[1]
    return str(value).lower() not in {"false", "no", "off", "0", "n", "f"}


def _first_word(text: Any) -> str | None:
    try:
        return next(iter(shlex.split(text)), None) if isinstance(text, str) else None
    except ValueError:
        return None


def _walked(play: Play, reading: Reading) -> _Found:
    found = _Found()
    nodes = (*play.pre_tasks, *play.tasks, *play.post_tasks, *play.handlers)
    _walk(nodes, reading, found, expected=False, seen=frozenset())
    return found


def _walk(
    nodes: Iterable[Node],
    reading: Reading,
    found: _Found,
    *,
    expected: bool,
    seen: frozenset[Any],
) -> None:
    """Go through nodes and what they include by name; `expected`: a failure is provided for."""
    for node in nodes:
        foreseen = expected or node.ignore_errors is not None
        if isinstance(node, Block):
            found.blocks.append(node)
            caught = foreseen or bool(node.rescue)
            _walk(node.block, reading, found, expected=caught, seen=seen)
            _walk((*node.rescue, *node.always), reading, found, expected=foreseen, seen=seen)
        else:
            found.tasks.append(node)
            if foreseen or node.failed_when is not None:
                found.expected.add(id(node))
            if node.action == "include_tasks":
                key = (node.folder, node.args.get("file"))
                found.hidden |= key not in reading.included
                if key not in seen:
                    within = reading.included.get(key, ())
                    _walk(within, reading, found, expected=foreseen, seen=seen | {key})
        _walk(node.rollback, reading, found, expected=foreseen, seen=seen)


def _acts_here(task: Task) -> bool:
    """Whether a task may make files on this side."""
    delegate = task.delegate_to
    return task.action == "fetch" or is_template(delegate) or delegate in _HERE


def _plays_here(play: Play) -> bool:
    patterns = play.hosts if isinstance(play.hosts, list) else [play.hosts]
    return any(is_template(one) or one in _HERE for one in patterns)


def _check_files(task: Task, reading: Reading, *, missing: bool) -> None:
    spec = reading.catalog.get(task.action)
    if spec is None or task.args_template is not None:
        return
    for one in local_files(task, spec):
        folders = (task.folder / one.folder, task.folder, reading.root / one.folder, reading.root)
        path = reading.look(one.value, folders, extra=(task.folder,), kind=Path.exists)
        if isinstance(path, Outside):
            hint = f"put it below {reading.root} and name it from there"
            reading.add(f"`{one.value}` leads out of the runbook's folder", one.place, hint)
        elif path is None and missing:
            message = f"`{one.name}` of `{task.action}`: there is no file `{one.value}`"
            hint = _nearest(one.value, folders) or _looked_in(folders)
            reading.add(message, one.place, hint)
        elif path is not None and task.action == "template" and not _has_own_marks(task):
            reading.note_file(path)
            reading.extend(file_problems(path))


def _has_own_marks(task: Task) -> bool:
    return any(str(name).startswith(_OPTIONS) for name in task.args)


def _nearest(name: str, folders: Iterable[Path]) -> str | None:
    there = [
        str(Path(name).parent / path.name)
        for folder in folders
        for path in _entries((folder / name).parent)
    ]
    return did_you_mean(name, there)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _looked_in(folders: Iterable[Path]) -> str:
    return f"looked in {', '.join(dict.fromkeys(str(folder) for folder in folders))}"


def _check_notifications(play: Play, found: _Found, reading: Reading) -> None:
    handlers = _Found()
    _walk(play.handlers, reading, handlers, expected=False, seen=frozenset())
    known = {name for handler in handlers.tasks for name in names_of(handler)}
    if handlers.hidden or any(is_template(name) for name in known):
        return
    for node in found.nodes:
        for number, name in enumerate(node.notify):
            if name not in known and not is_template(name):
                whole = node.places.get("notify", node.place)
                place = node.places.get(f"notify.{number}", whole)
                hint = did_you_mean(name, known) or "write the handler, or mend the name"
                reading.add(f"no handler of this play is called `{name}`", place, hint)


def names_of(handler: Task) -> set[str]:
    """What a handler answers to."""
    return {*handler.listen, *([str(handler.name)] if handler.name else [])}
