"""Tasks, blocks and handlers: from YAML to the model, with every fault noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nbops.base.errors import Place
from nbops.base.yamlpos import YamlMap, YamlSeq, did_you_mean, place_of
from nbops.runbook import arguments, foreign, keywords
from nbops.runbook.expr import is_template
from nbops.runbook.keywords import KEYWORDS, Where
from nbops.runbook.kinds import convert
from nbops.runbook.model import Block, Node, Task
from nbops.runbook.reading import Source
from nbops.runbook.spec import ActionSpec

_PREFIXES = ("ansible.builtin.", "ansible.legacy.")
_PARTS = ("block", "rescue", "always")
# Keywords that an include may bear, as in Ansible: the others belong to the tasks within.
_ON_INCLUDE = frozenset(
    {"name", "when", "loop", "loop_control", "register", "run_once", "tags", "vars", "args"}
    | {"action", "no_log", "timeout", "ignore_errors", "phase", "listen"}
)
_ON_IMPORT = frozenset(keywords.names(Where.BLOCK)) - {*_PARTS, "rollback", "rescue_unreachable"}


@dataclass(frozen=True)
class _Written:
    """A task as it stands in the file: its mapping, the keywords in it, what stands at its
    action and where, and the path that it gets."""

    data: YamlMap
    used: Sequence[str]
    value: Any
    at: Place | None
    path: str


def tasks_under(
    data: YamlMap,
    key: str,
    prefix: str,
    source: Source,
    *,
    where: Where = Where.TASK,
    start: int = 0,
) -> tuple[Node, ...]:
    """The tasks under a key of a play, block or task, counted from `start`."""
    place = data.value_places.get(key, data.place)
    return nodes(data.get(key), prefix, source, where=where, start=start, place=place)


def nodes(
    raw: Any,
    prefix: str,
    source: Source,
    *,
    where: Where = Where.TASK,
    start: int = 0,
    place: Place | None = None,
) -> tuple[Node, ...]:
    """A list of tasks and blocks; their paths are `prefix` and their number from `start`."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        source.add("a list of tasks is needed here", place_of(raw) or place)
        return ()
    found: list[Node] = []
    for number, one in enumerate(raw):
        at = place_of(raw, (number,)) or place
        found += _node(one, f"{prefix}{start + number}", at, source, where)
    return tuple(found)


def _node(
    data: Any, path: str, place: Place | None, source: Source, where: Where
) -> Sequence[Node]:
    if not isinstance(data, YamlMap):
        source.add("a task is a mapping: its keywords and an action", place)
        return ()
    if any(part in data for part in _PARTS):
        if where is Where.HANDLER:
            source.add("a handler is one task, not a block", place)
            return ()
        return (_block(data, path, source),)
    used = _keywords(data, where, source)
    name, value, at = _action(data, where, source)
    if name is None:
        return ()
    written = _Written(data, used, value, at, path)
    if name == "import_tasks":
        return _imported(written, source, where)
    spec = source.reading.catalog.get(name)
    return () if spec is None else (_task(written, spec, source),)


def _keywords(data: YamlMap, where: Where, source: Source) -> list[str]:
    """The keywords in a mapping that may stand there; the others of Ansible are noted."""
    used = []
    for key in data:
        place = data.key_places.get(key)
        keyword = KEYWORDS.get(key) if isinstance(key, str) else None
        if keyword is not None and where in keyword.where:
            used.append(key)
        elif keyword is not None:
            whose = " or a ".join(sorted(one.value for one in keyword.where))
            source.add(f"`{key}` belongs to a {whose}, not to a {where.value}", place)
        elif isinstance(key, str) and (hint := keywords.refusal(key)):
            source.add(f"`{key}` of Ansible is not supported", place, hint)
        elif not isinstance(key, str):
            source.add(f"`{key}` is no keyword", place)
    return used


def common(data: YamlMap, used: Sequence[str], source: Source) -> dict[str, Any]:
    """The model's values for the keywords in `used`, checked; with their places."""
    values: dict[str, Any] = {}
    for name in used:
        value = convert(KEYWORDS[name], data[name], data.value_places.get(name), source)
        if value is not None:
            values[name] = value
    values["place"] = data.place
    values["places"] = {**data.value_places, **_item_places(data, "notify")}
    return values


def _item_places(data: YamlMap, name: str) -> dict[str, Place]:
    """Where the items of a keyword's list stand: `notify.0`, `notify.1`…"""
    places = getattr(data.get(name), "item_places", ())
    return {f"{name}.{number}": place for number, place in enumerate(places)}


def _block(data: YamlMap, path: str, source: Source) -> Block:
    used = _keywords(data, Where.BLOCK, source)
    _no_actions(data, source)
    if "block" not in data:
        part = next(part for part in _PARTS if part in data)
        source.add(f"`{part}` stands without a `block`", data.key_places.get(part))
    plain = [name for name in used if name not in {*_PARTS, "rollback"}]
    return Block(
        path=path,
        block=tasks_under(data, "block", f"{path}.", source),
        rescue=tasks_under(data, "rescue", f"{path}.r", source),
        always=tasks_under(data, "always", f"{path}.a", source),
        rollback=tasks_under(data, "rollback", f"{path}.u", source),
        **common(data, plain, source),
    )


def _no_actions(data: YamlMap, source: Source) -> None:
    for key in data:
        if not isinstance(key, str) or key in KEYWORDS or keywords.refusal(key):
            continue
        place = data.key_places.get(key)
        if source.reading.catalog.get(key):
            source.add(f"`{key}` stands on a block: put it into a task of its own", place)
        else:
            hint = did_you_mean(key, keywords.names(Where.BLOCK))
            source.add(f"`{key}` is no keyword of a block", place, hint)


def _action(data: YamlMap, where: Where, source: Source) -> tuple[str | None, Any, Place | None]:
    """The action of a task, its value and place; None when there is not exactly one."""
    found: list[tuple[str, Any, Place | None]] = []
    faults = 0
    for key, value in data.items():
        at = data.key_places.get(key)
        if key in {"action", "local_action"}:
            found += _old_form(key, value, data.value_places.get(key), source)
        elif isinstance(key, str) and key not in KEYWORDS and not keywords.refusal(key):
            if known(key, source):
                found.append((short(key), value, at))
            else:
                faults += 1
                foreign.note(key, at, where, source)
        elif key not in KEYWORDS:
            faults += 1
    if len(found) > 1:
        both = " and ".join(f"`{name}`" for name, _, _ in found)
        source.add(f"two actions in one task: {both}", found[1][2], "make two tasks of it")
        return None, None, None
    if not found:
        if not faults:
            source.add("a task needs an action", data.place, "see `nbops actions`")
        return None, None, None
    return found[0]


def _old_form(
    key: str, value: Any, place: Place | None, source: Source
) -> list[tuple[str, Any, Place | None]]:
    """`action: copy src=a dest=b`, or the same as a mapping with `module`."""
    if isinstance(value, YamlMap) and isinstance(value.get("module"), str):
        name = value["module"]
        args = YamlMap(value.place)
        for arg in value:
            if arg != "module":
                args.put(arg, value[arg], value.key_places.get(arg), value.value_places.get(arg))
        rest: Any = args
    elif isinstance(value, str) and value.strip():
        name, _, rest = value.strip().partition(" ")
        rest = rest or None
    else:
        source.add(f"`{key}` takes an action and its arguments as a text", place)
        return []
    if not known(name, source):
        foreign.note(name, place, Where.TASK, source)
        return []
    return [(short(name), rest, place)]


def known(name: str, source: Source) -> bool:
    """Whether there is an action of this name."""
    return short(name) == "import_tasks" or source.reading.catalog.get(name) is not None


def short(name: str) -> str:
    """A name without the prefix of Ansible's own modules."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _task(written: _Written, spec: ActionSpec, source: Source) -> Task:
    data, used, at = written.data, written.used, written.at
    beside = convert(KEYWORDS["args"], data.get("args"), data.value_places.get("args"), source)
    args, whole = arguments.collect(spec, written.value, beside, at, source)
    arguments.check(spec, args, whole, at, source)
    if spec.name == "include_tasks":
        _check_include(data, used, args, source)
    plain = [n for n in used if n not in {"args", "action", "local_action", "rollback"}]
    values = common(data, plain, source)
    if "local_action" in data:
        values["delegate_to"] = "localhost"
    _check_retrying(data, source)
    return Task(
        path=written.path,
        action=spec.name,
        args=args,
        args_template=whole,
        folder=source.folder,
        rollback=tasks_under(data, "rollback", f"{written.path}.u", source),
        **values,
    )


def _check_retrying(data: YamlMap, source: Source) -> None:
    if "retry" in data and ("retries" in data or "delay" in data):
        source.add(
            "`retry` and `retries`/`delay` say the same thing twice",
            data.key_places.get("retry"),
            "keep `retry: {attempts: …, delay: …}`",
        )


def _check_include(data: YamlMap, used: Sequence[str], args: YamlMap, source: Source) -> None:
    """Check what an include leads to, now, when its name is written out."""
    for name in used:
        if name not in _ON_INCLUDE:
            hint = "write it on the tasks of that file, or put the include into a block"
            source.add(
                f"`{name}` has no effect on `include_tasks`", data.key_places.get(name), hint
            )
    file = args.get("file")
    if not isinstance(file, str) or is_template(file):
        return
    target = source.to(file, args.value_places.get("file"), "tasks")
    if target is None:
        return
    reading = source.reading
    if target.path not in reading.checked:
        reading.checked[target.path] = ()
        reading.checked[target.path] = nodes(tasks_of_file(target), "", target)
    reading.included[source.folder, file] = reading.checked[target.path]


def tasks_of_file(source: Source) -> Any:
    """The YAML of a file of tasks; None, with a problem, when it is none."""
    raw = source.reading.yaml(source.path)
    if raw is None or isinstance(raw, YamlSeq):
        return raw
    source.add("a file of tasks is a list of tasks", place_of(raw) or Place(str(source.path), 1))
    return None


def _imported(written: _Written, source: Source, where: Where) -> Sequence[Node]:
    """The tasks of an imported file, as a block that carries the keywords of the import."""
    data, used, value, path = written.data, written.used, written.value, written.path
    file = value.get("file") if isinstance(value, YamlMap) else value
    at = place_of(value, ("file",)) or data.value_places.get("import_tasks", data.place)
    for name in used:
        if name not in _ON_IMPORT and not (name == "listen" and where is Where.HANDLER):
            hint = "use `include_tasks`" if name in {"loop", "register"} else None
            source.add(f"`{name}` has no effect on `import_tasks`", data.key_places.get(name), hint)
    if not isinstance(file, str) or is_template(file):
        hint = "`include_tasks` takes a name that is known only in the run"
        source.add("`import_tasks` takes the name of a file", at, hint)
        return ()
    values = common(data, [name for name in used if name in _ON_IMPORT], source)
    target = source.to(file, at, "tasks")
    if target is None:
        return ()
    inner = nodes(tasks_of_file(target), f"{path}.", target, where=where)
    if where is Where.HANDLER:
        return [_within(node, values) for node in inner]
    return (Block(path=path, block=inner, **values),)


def _within(node: Node, outer: dict[str, Any]) -> Node:
    """A handler of an imported file with the keywords of the import."""
    inherited: dict[str, Any] = {
        "when": (*outer.get("when", ()), *node.when),
        "tags": (*outer.get("tags", ()), *node.tags),
        "vars": {**outer.get("vars", {}), **node.vars},
        "environment": (*outer.get("environment", ()), *node.environment),
    }
    for name, value in outer.items():
        if name in inherited or name in {"name", "place", "places", "notify"}:
            continue
        if getattr(node, name, None) is None:
            inherited[name] = value
    return replace(node, **inherited)
