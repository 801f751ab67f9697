"""`--list-tasks` and `--list-hosts`: what a runbook would do, read from its files alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nbops.engine.scope import Scope, selected
from nbops.runbook.expr import is_template
from nbops.runbook.model import Block, Node, Play, Runbook, Task

Match = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """A task that would run; its name as written, its tags and those it inherits."""

    name: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedPlay:
    """A play and its tasks. `hosts` is None when the pattern is a template: that is known only
    when it runs."""

    name: str
    pattern: str
    tags: tuple[str, ...]
    hosts: tuple[str, ...] | None
    tasks: tuple[PlannedTask, ...]


def planned(
    runbook: Runbook, match: Match, tags: tuple[str, ...], skip_tags: tuple[str, ...]
) -> list[PlannedPlay]:
    """The plays of a runbook with the tasks that the tags choose. What an include brings is
    known only when it runs; `rescue` and `always` are left out, as in Ansible."""
    return [_play(play, match, tags, skip_tags) for play in runbook.plays]


def as_text(plays: Sequence[PlannedPlay], *, tasks: bool, hosts: bool) -> str:
    """The plan as `ansible-playbook` prints it."""
    rows: list[str] = []
    for number, play in enumerate(plays, 1):
        rows.append(f"  play #{number} ({play.pattern}): {play.name}\tTAGS: {_tags(play.tags)}")
        if hosts:
            rows += _hosts(play)
        if tasks:
            rows.append("    tasks:")
            rows += [f"      {one.name}\tTAGS: {_tags(one.tags)}" for one in play.tasks]
        rows.append("")
    return "\n".join(rows)


def _play(
    play: Play, match: Match, tags: tuple[str, ...], skip_tags: tuple[str, ...]
) -> PlannedPlay:
    pattern = ",".join(play.hosts) if isinstance(play.hosts, list) else str(play.hosts)
    nodes = (*play.pre_tasks, *play.tasks, *play.post_tasks)
    return PlannedPlay(
        name=str(play.name or pattern),
        pattern=pattern,
        tags=tuple(sorted(play.tags)),
        hosts=None if is_template(pattern) else tuple(match(pattern)),
        tasks=tuple(
            PlannedTask(str(task.name or task.action), tuple(sorted(scope.tags)))
            for task, scope in _tasks(nodes, Scope((play,)))
            if task.action != "meta" and selected(scope.tags, tags, skip_tags)
        ),
    )


def _tasks(nodes: Sequence[Node], scope: Scope) -> Iterator[tuple[Task, Scope]]:
    for node in nodes:
        if isinstance(node, Block):
            yield from _tasks(node.block, scope.enter(node))
        else:
            yield node, scope.enter(node)


def _hosts(play: PlannedPlay) -> list[str]:
    if play.hosts is None:
        return ["    hosts: known when it runs"]
    return [f"    hosts ({len(play.hosts)}):", *(f"      {host}" for host in play.hosts)]


def _tags(tags: Sequence[str]) -> str:
    return f"[{', '.join(tags)}]"
