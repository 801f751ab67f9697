"""What can be said about a run before it begins: hosts, tags and tasks that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch

from nbops.base.errors import Place, Problem, UsageError
from nbops.base.yamlpos import did_you_mean
from nbops.inventory.model import Inventory
from nbops.inventory.pattern import match_hosts
from nbops.runbook.expr import is_template
from nbops.runbook.model import Block, Node, Play, Runbook, Task

_OF_ALL = frozenset({"all", "tagged", "untagged", "always", "never"})


def check_hosts(runbook: Runbook, inventory: Inventory, limit: str | None) -> list[Problem]:
    """Match every pattern that is written out; gives warnings about what means no host.

    Raises UsageError with all patterns that are wrong, each with its place, and the limit.
    """
    problems: list[Problem] = []
    limited = None if limit is None else _matched(inventory, limit, problems, "--limit")
    warnings: list[Problem] = []
    hosts: set[str] = set()
    for play in runbook.plays:
        pattern = written_hosts(play)
        if pattern is None:
            hosts.update(limited or ())
            continue
        place = play.places.get("hosts") or play.place
        found = _matched(inventory, pattern, problems, place=place)
        if not found:
            warnings.append(Problem(f"`hosts: {pattern}` means no host of this inventory", place))
        hosts.update(found)
    if problems:
        raise UsageError.of(problems)
    if limited is not None and hosts.isdisjoint(limited):
        raise UsageError(f"--limit {limit} leaves no host to any play")
    return warnings


def written_hosts(play: Play) -> str | None:
    """The host pattern of a play; None when it is known only when the play begins."""
    pattern = ",".join(play.hosts) if isinstance(play.hosts, list) else str(play.hosts)
    return None if is_template(pattern) else pattern


def _matched(
    inventory: Inventory,
    pattern: str,
    problems: list[Problem],
    option: str = "",
    place: Place | None = None,
) -> list[str]:
    try:
        return match_hosts(inventory, "all" if option else pattern, pattern if option else None)
    except UsageError as error:
        for one in error.problems:
            message = f"{option} {pattern}: {one.message}" if option else one.message
            problems.append(Problem(message, place, one.hint))
        return []


def check_choice(
    runbook: Runbook, tags: Sequence[str], skip_tags: Sequence[str], start_at: str | None
) -> list[Problem]:
    """Look for the tags and the task that the command line names; gives warnings.

    Raises UsageError when the run would look for its first task in vain.
    """
    names, known, hidden = _names_and_tags(runbook)
    if start_at is not None and not hidden and not any(fnmatch(one, start_at) for one in names):
        hint = did_you_mean(start_at, names) or "`--list-tasks` names them"
        raise UsageError(f"--start-at-task: there is no task `{start_at}`", hint=hint)
    if hidden:
        return []
    given = [("--tags", tag) for tag in tags] + [("--skip-tags", tag) for tag in skip_tags]
    return [
        Problem(f"{option} {tag}: no task bears this tag", None, did_you_mean(tag, known))
        for option, tag in given
        if tag not in known and tag not in _OF_ALL
    ]


def _names_and_tags(runbook: Runbook) -> tuple[set[str], set[str], bool]:
    """Names (and paths) of all tasks, all tags, and whether there are more in the run."""
    names: set[str] = set()
    tags: set[str] = set()
    hidden = False
    for play in runbook.plays:
        tags.update(play.tags)
        names.add("Gathering Facts")
        for node in _all((*play.pre_tasks, *play.tasks, *play.post_tasks, *play.handlers)):
            tags.update(node.tags)
            if isinstance(node, Task):
                names |= {str(node.name or node.action), node.path}
                hidden = hidden or node.action == "include_tasks" or is_template(node.name)
    return names, tags, hidden


def _all(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if isinstance(node, Block):
            yield from _all((*node.block, *node.rescue, *node.always))
