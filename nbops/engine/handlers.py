"""Handlers: who was notified of what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nbops.base.errors import UsageError
from nbops.base.yamlpos import did_you_mean
from nbops.runbook.model import Block, Node, Task


def tasks_of(nodes: Sequence[Node]) -> Iterator[Task]:
    """All tasks of some nodes, those in blocks too, in order."""
    for node in nodes:
        if isinstance(node, Block):
            yield from tasks_of((*node.block, *node.rescue, *node.always))
        else:
            yield node


class Handlers:
    """The handlers of a play and the hosts that notified each.

    `names` maps a handler's path to its evaluated name.
    """

    def __init__(self, nodes: Sequence[Node], names: Mapping[str, str]) -> None:
        self.tasks = tuple(tasks_of(nodes))
        self._names = names
        self._notified: dict[str, dict[str, None]] = {}

    def notify(self, name: str, hosts: Sequence[str]) -> None:
        """Note that these hosts call for every handler of this name or topic.

        As in Ansible a name means the last handler that bears it, a topic all that listen.
        Raises UsageError when there is none.
        """
        named = [task for task in self.tasks if self._names.get(task.path) == name][-1:]
        found = named or [task for task in self.tasks if name in task.listen]
        found += [task for task in self.tasks if name in task.listen and task not in found]
        if not found:
            known = [*self._names.values(), *(topic for one in self.tasks for topic in one.listen)]
            raise UsageError(f"no handler is called `{name}`", hint=did_you_mean(name, known))
        for task in found:
            self._notified.setdefault(task.path, {}).update(dict.fromkeys(hosts))

    def take(self, task: Task, hosts: Sequence[str]) -> list[str]:
        """The hosts among `hosts` that notified this handler; they are no longer noted."""
        noted = self._notified.get(task.path, {})
        due = [host for host in hosts if host in noted]
        for host in due:
            del noted[host]
        return due

    @property
    def any_due(self) -> bool:
        """Whether any handler is yet to run."""
        return any(self._notified.values())
