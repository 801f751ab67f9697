"""Findings in runbooks that load: what is likely to bite when it runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbops.base.command import Effect
from nbops.base.errors import Place
from nbops.base.yamlpos import did_you_mean, place_of
from nbops.runbook.arguments import expressions
from nbops.runbook.expr import is_template
from nbops.runbook.freeform import COMMANDS
from nbops.runbook.load import load_tasks
from nbops.runbook.model import Block, Node, Play, Runbook, Task
from nbops.runbook.spec import Catalog
from nbops.runbook.syntax import texts_in, unquoted_in

RULES: Mapping[str, str] = {
    "unnamed-task": "A task without a name: its line in the output says little.",
    "unused-register": "A registered result that nothing reads.",
    "unheard-notify": "A notification that no handler of the play answers to.",
    "idle-handler": "A handler that nobody notifies.",
    "always-changed": "A command that counts as a change each time it runs.",
    "unquoted-variable": "A variable in a shell line without `| quote`.",
    "undone-command": "A task with `retry` or `until` whose command may do its work twice.",
    "literal-secret": "A password, token or key written into the runbook.",
    "open-permissions": "A file that everybody may write.",
}

_SECRET_NAME = re.compile(r"(passw(or)?d|secret|token|api_?key|private_?key)$", re.IGNORECASE)
_SHELL = frozenset({"shell", "raw"})
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is likely to bite: the rule, where, what, and what to do about it."""

    place: Place | None
    rule: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.message} [{self.rule}]"


def lint(runbook: Runbook, catalog: Catalog) -> list[Finding]:
    """The findings in a runbook and in what it includes by name, in the order of its files.

    Raises UsageError when an included file has changed since the runbook was loaded.
    """
    order = {str(path): number for number, path in enumerate(runbook.files)}
    findings: list[Finding] = []
    reader = _Reader(runbook, catalog)
    plays = [(play, reader.tasks(play)) for play in runbook.plays]
    for play, tasks in plays:
        findings += _handlers(play, tasks, reader.hidden)
        for task in tasks:
            findings += _task(task, reader, catalog)

    def rank(found: Finding) -> tuple[int, int, int, str]:
        place = found.place or Place("", 0, 0)
        return (order.get(place.file, len(order)), place.line, place.column, found.rule)

    return sorted(dict.fromkeys(findings), key=rank)


class _Reader:
    """Walks through a runbook and notes every word that its templates and conditions hold.

    `hidden` tells that some of it is known only in the run (an include with a template).
    """

    def __init__(self, runbook: Runbook, catalog: Catalog) -> None:
        self._root = runbook.file.parent
        self._catalog = catalog
        self._seen: set[Path] = set()
        self.words: set[str] = set()
        self.hidden = False

    def tasks(self, play: Play) -> list[Task]:
        """All tasks of a play: in blocks, rollbacks, handlers and included files too."""
        self._note([play.hosts, play.serial, list(play.vars_files), play.vars], play.environment)
        nodes = (*play.pre_tasks, *play.tasks, *play.post_tasks, *play.handlers)
        return list(self._walk(nodes))

    def _walk(self, nodes: Iterable[Node]) -> Iterator[Task]:
        for node in nodes:
            self._common(node)
            if isinstance(node, Block):
                yield from self._walk((*node.block, *node.rescue, *node.always))
            else:
                yield node
                yield from self._walk(self._task(node))
            yield from self._walk(node.rollback)

    def _common(self, node: Node) -> None:
        self._conditions(node.when)
        self._note([node.name, node.vars, node.delegate_to, list(node.notify)], node.environment)
        keywords = ("become", "become_user", "ignore_errors", "check_mode", "run_once", "timeout")
        self._note([getattr(node, name) for name in keywords])

    def _task(self, task: Task) -> Sequence[Node]:
        """Note the words of a task; gives the tasks that it includes by name."""
        self._note([task.args, task.args_template, task.loop, task.loop_control.label])
        self._note([task.retries, task.delay, task.retry.values if task.retry else None])
        for conditions in (task.until, task.changed_when or (), task.failed_when or ()):
            self._conditions(conditions)
        spec = self._catalog.get(task.action)
        for name in expressions(spec.args) if spec else ():
            self._conditions(text for text, _ in texts_in(task.args.get(name), None))
        if task.action == "include_tasks":
            return self._included(task)
        if task.action == "template":
            self._template(task)
        return ()

    def _included(self, task: Task) -> Sequence[Node]:
        path = self._find(task, "file", "tasks")
        if path is None or path in self._seen:
            return ()
        self._seen.add(path)
        return load_tasks(path, self._catalog, task.path, root=self._root)

    def _template(self, task: Task) -> None:
        path = self._find(task, "src", "templates")
        if path is not None:
            self.words |= set(_WORD.findall(path.read_text(encoding="utf-8", errors="replace")))

    def _find(self, task: Task, argument: str, sub: str) -> Path | None:
        name = task.args.get(argument)
        if isinstance(name, str) and not is_template(name):
            for path in (task.folder / name, task.folder / sub / name, self._root / name):
                if path.is_file():
                    return path
        self.hidden = True
        return None

    def _note(self, *values: Any) -> None:
        for text, _ in texts_in(list(values), None):
            if is_template(text):
                self.words |= set(_WORD.findall(text))

    def _conditions(self, values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, str):
                self.words |= set(_WORD.findall(value))


def _task(task: Task, reader: _Reader, catalog: Catalog) -> Iterator[Finding]:
    spec = catalog.get(task.action)
    if not task.name and not (spec and spec.flow):
        yield Finding(
            task.place,
            "unnamed-task",
            f"this `{task.action}` has no name",
            "say in a few words what it is for: `name: …`",
        )
    if task.register and task.register not in reader.words and not reader.hidden:
        yield Finding(
            task.places.get("register", task.place),
            "unused-register",
            f"nothing reads `{task.register}`",
            "leave `register` out",
        )
    if task.action in COMMANDS:
        yield from _command(task)
    elif spec is not None and spec.effect is not Effect.NONE:
        yield from _permissions(task)
    yield from _secrets(task)


def _command(task: Task) -> Iterator[Finding]:
    guarded = task.args.get("creates") or task.args.get("removes")
    if not guarded and task.changed_when is None and task.args_template is None:
        yield Finding(
            task.place,
            "always-changed",
            f"this `{task.action}` counts as a change each time it runs",
            "say when it changes something: `changed_when`, `creates` or `removes`",
        )
    if not guarded and task.changed_when != (False,) and (task.retry or task.until):
        yield Finding(
            task.place,
            "undone-command",
            f"this `{task.action}` is tried again although it may have done its work",
            "make it safe to repeat: `creates`, or `changed_when: false` when it only looks",
        )
    if task.action in _SHELL:
        line = task.args.get("cmd")
        if isinstance(line, str) and is_template(line) and unquoted_in(line):
            yield Finding(
                place_of(task.args, ("cmd",)) or task.place,
                "unquoted-variable",
                "a variable stands unquoted in a shell line",
                "write `{{ NAME | quote }}`, without quotes around it",
            )


def _permissions(task: Task) -> Iterator[Finding]:
    mode = task.args.get("mode")
    text = f"{mode:o}" if isinstance(mode, int) and not isinstance(mode, bool) else mode
    if not isinstance(text, str):
        return
    octal = re.fullmatch(r"0?[0-7]?([0-7])([0-7])([0-7])", text)
    if (octal and int(octal[3]) & 2) or re.search(r"[oa]\S*[+=]\S*w", text):
        yield Finding(
            place_of(task.args, ("mode",)) or task.place,
            "open-permissions",
            f"everybody may write what has the mode `{mode}`",
            "take the right away: `mode: '0644'`",
        )


def _secrets(task: Task) -> Iterator[Finding]:
    sources = (task.args, task.vars, *(one for one in task.environment if isinstance(one, dict)))
    for source in sources:
        for key, value in source.items():
            if (
                isinstance(key, str)
                and _SECRET_NAME.search(key)
                and isinstance(value, str)
                and value
                and not is_template(value)
            ):
                yield Finding(
                    place_of(source, (key,)) or task.place,
                    "literal-secret",
                    f"`{key}` is written out in the runbook",
                    "take it from the inventory's secrets or with `lookup('env', …)`",
                )


def _handlers(play: Play, tasks: Sequence[Task], hidden: bool) -> Iterator[Finding]:
    """Notifications and handlers that do not meet. Nothing is said when some are hidden."""
    handlers = [task for task in tasks if _is_handler(task)]
    known = {name for handler in handlers for name in _names_of(handler)}
    blocks = _blocks((*play.pre_tasks, *play.tasks, *play.post_tasks))
    nodes: list[Node] = [*blocks, *tasks]
    called = {name for node in nodes for name in node.notify}
    if hidden or any(is_template(name) for name in (*called, *known)):
        return
    for node in nodes:
        for name in node.notify:
            if name not in known:
                yield Finding(
                    node.places.get("notify", node.place),
                    "unheard-notify",
                    f"no handler of this play is called `{name}`",
                    did_you_mean(name, known) or "write the handler, or mend the name",
                )
    for handler in handlers:
        if not _names_of(handler) & called:
            yield Finding(
                handler.place,
                "idle-handler",
                f"nobody notifies the handler `{handler.name or handler.action}`",
                "notify it, or take it out",
            )


def _is_handler(task: Task) -> bool:
    """Whether a task is a handler itself, and not what one does on rollback."""
    parts = task.path.split(".")[1:]
    return parts[0].startswith("h") and not any(part.startswith("u") for part in parts)


def _names_of(handler: Task) -> set[str]:
    return {*handler.listen, *([str(handler.name)] if handler.name else [])}


def _blocks(nodes: Iterable[Node]) -> Iterator[Block]:
    for node in nodes:
        if isinstance(node, Block):
            yield node
            yield from _blocks((*node.block, *node.rescue, *node.always))
