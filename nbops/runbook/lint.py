"""Findings in runbooks that load: what is likely to bite when it runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbops.base.command import Effect
from nbops.base.errors import Place
from nbops.base.yamlpos import place_of
from nbops.runbook.arguments import expressions
from nbops.runbook.expr import is_template
from nbops.runbook.freeform import COMMANDS
from nbops.runbook.load import load_tasks
from nbops.runbook.model import Block, Node, Play, Runbook, Task
from nbops.runbook.silence import Silencer
from nbops.runbook.spec import Catalog
from nbops.runbook.syntax import texts_in, unquoted_in
from nbops.runbook.whole import names_of

RULES: Mapping[str, str] = {
    "unnamed-task": "A task without a name: its line in the output says little.",
    "unused-register": "A registered result that nothing reads.",
    "idle-handler": "A handler that nobody notifies.",
    "half-fatal": "`any_errors_fatal` that an unreachable host does not end the run with.",
    "always-changed": "A command that counts as a change each time it runs.",
    "unquoted-variable": "A variable in a shell line without `| quote`.",
    "undone-command": "A task with `retry` or `until` whose command may do its work twice.",
    "literal-secret": "A password, token or key written into the runbook.",
    "open-permissions": "A file that everybody may write.",
    "decimal-mode": "A mode without its leading 0: `mode: 644` is not `mode: '0644'`.",
    "magic-name": "A variable that bears the name of one that is always there, or of an operator.",
    "unknown-rule": "A `# noqa` that names no rule.",
}

_MAGIC = frozenset(
    """
    ansible_check_mode ansible_facts ansible_limit ansible_play_batch ansible_play_hosts
    ansible_play_hosts_all ansible_play_name ansible_version environment group_names groups
    hostvars inventory_dir inventory_file inventory_hostname inventory_hostname_short omit
    play_hosts playbook_dir vars and or not in is if else true false none
    """.split()  # noqa: SIM905 - a list of forty quoted words is harder to read
)
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


def lint_tasks(path: Path, root: Path, catalog: Catalog) -> list[Finding]:
    """The findings in a file of tasks that runbooks in the folder `root` include: those that
    need no play to be seen. Raises UsageError with everything that is wrong."""
    found = load_tasks(path, catalog, "0", root=root)
    play = Play(path="0", hosts="all", folder=path.parent, tasks=found)
    runbook = Runbook(file=path, plays=(play,), files=(path,))
    return [one for one in lint(runbook, catalog) if one.rule != "unused-register"]


def lint(runbook: Runbook, catalog: Catalog) -> list[Finding]:
    """The findings in a runbook and in what it includes by name, in the order of its files.

    Raises UsageError when an included file has changed since the runbook was loaded.
    """
    order = {str(path): number for number, path in enumerate(runbook.files)}
    findings: list[Finding] = []
    reader, silencer = _Reader(runbook, catalog), Silencer()
    plays = [(play, reader.tasks(play)) for play in runbook.plays]
    for play, tasks in plays:
        found = list(_handlers(play, tasks, reader.hidden))
        if play is not runbook.plays[-1]:
            findings += [
                one
                for one in _half_fatal(play)
                if not silencer.covers(one.rule, play.place, one.place)
            ]
        found += [(task, one) for task in tasks for one in _task(task, reader, catalog)]
        findings += [
            one for task, one in found if not silencer.covers(one.rule, task.place, one.place)
        ]
    for place, word, rule in silencer.misspelt(runbook.files, RULES):
        findings.append(
            Finding(place, "unknown-rule", f"there is no rule `{word}`", f"did you mean `{rule}`?")
        )

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
        for name in play.vars_files:
            self._variables(play, name)
        for folder in ("group_vars", "host_vars"):
            self._words_of(*(self._root / folder).rglob("*"))
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
            self._words_of(path)
            self.hidden |= not self.words.isdisjoint({"include", "import", "extends"})

    def _variables(self, play: Play, name: Any) -> None:
        if not isinstance(name, str) or is_template(name):
            self.hidden = True
            return
        places = (play.folder, play.folder / "vars", self._root, self._root / "vars")
        self._words_of(*(folder / name for folder in places))

    def _words_of(self, *paths: Path) -> None:
        for path in paths:
            if path.is_file():
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
                self.hidden |= "lookup" in text and "template" in text

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
    yield from _names(task)


def _names(task: Task) -> Iterator[Finding]:
    """Variables that hide one that is always there."""
    named = [(task.register, task.places.get("register"))]
    named += [(name, place_of(task.vars, (name,), key=True)) for name in task.vars]
    if task.action == "set_fact":
        named += [(name, place_of(task.args, (name,), key=True)) for name in task.args]
    for name, place in named:
        if name in _MAGIC:
            yield Finding(
                place or task.place,
                "magic-name",
                f"`{name}` is a name that expressions know already",
                "choose another name",
            )


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
    place = place_of(task.args, ("mode",)) or task.place
    number = mode if isinstance(mode, int) and not isinstance(mode, bool) else None
    if number is not None and re.fullmatch("[0-7]{3,4}", str(number)) and _is_odd(number):
        yield Finding(
            place,
            "decimal-mode",
            f"the mode `{mode}` is read as a decimal number: it means {number:04o}",
            f"write `mode: '0{mode}'`",
        )
        return
    text = f"{number:o}" if number is not None else mode
    if not isinstance(text, str):
        return
    octal = re.fullmatch(r"0?[0-7]?([0-7])([0-7])([0-7])", text)
    if (octal and int(octal[3]) & 2) or re.search(r"[oa]\S*[+=]\S*w", text):
        yield Finding(
            place,
            "open-permissions",
            f"everybody may write what has the mode `{mode}`",
            "take the right away: `mode: '0644'`",
        )


def _is_odd(mode: int) -> bool:
    """Whether a mode gives the group or others what it does not give the owner."""
    owner, group, others = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    return bool(group & ~owner or others & ~group or not owner & 4)


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


def _half_fatal(play: Play) -> Iterator[Finding]:
    """An error in the play is to end the run, and an unreachable host would not: as in Ansible,
    later plays go on with the hosts that are in them alone."""
    if play.any_errors_fatal is True and play.max_fail_percentage is None:
        yield Finding(
            play.places.get("any_errors_fatal", play.place),
            "half-fatal",
            "when a host is unreachable, later plays go on with other hosts all the same",
            "write `max_fail_percentage: 0` beside it",
        )


def _handlers(play: Play, tasks: Sequence[Task], hidden: bool) -> Iterator[tuple[Task, Finding]]:
    """Handlers that nobody notifies. Nothing is said when some notification is hidden."""
    handlers = [task for task in tasks if _is_handler(task)]
    nodes: list[Node] = [*_blocks((*play.pre_tasks, *play.tasks, *play.post_tasks)), *tasks]
    called = {name for node in nodes for name in node.notify}
    known = {name for handler in handlers for name in names_of(handler)}
    if hidden or any(is_template(name) for name in (*called, *known)):
        return
    for handler in handlers:
        if not names_of(handler) & called:
            found = Finding(
                handler.place,
                "idle-handler",
                f"nobody notifies the handler `{handler.name or handler.action}`",
                "notify it, or take it out",
            )
            yield handler, found


def _is_handler(task: Task) -> bool:
    """Whether a task is a handler itself, and not what one does on rollback."""
    parts = task.path.split(".")[1:]
    return parts[0].startswith("h") and not any(part.startswith("u") for part in parts)


def _blocks(nodes: Iterable[Node]) -> Iterator[Block]:
    for node in nodes:
        if isinstance(node, Block):
            yield node
            yield from _blocks((*node.block, *node.rescue, *node.always))
