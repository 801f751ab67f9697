"""Handlers: who was notified of what, and which handlers that calls for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbops.base.errors import UsageError
from nbops.base.yamlpos import did_you_mean
from nbops.engine.program import Step


class Handlers:
    """The handlers of a play. A notice is kept as it was given, and means the handlers that
    bear its name when the host flushes.

    `names` maps a handler's path to its evaluated name.
    """

    def __init__(self, steps: Sequence[Step], names: Mapping[str, str]) -> None:
        self.steps = tuple(steps)
        self._names = names
        self._notices: dict[str, dict[str, None]] = {}
        self._called: dict[Step, dict[str, None]] = {}

    def notify(self, notice: str, host: str, *, now: bool = False) -> None:
        """Keep a notice; `now`, while the host runs handlers, it calls for them at once.

        Raises UsageError when no handler bears this name or listens to it.
        """
        found = self._meant(notice)
        if not found:
            topics = (topic for step in self.steps for topic in step.task.listen)
            known = [*self._names.values(), *topics]
            raise UsageError(f"no handler is called `{notice}`", hint=did_you_mean(notice, known))
        if now:
            self.call(found, [host])
        else:
            self._notices.setdefault(host, {})[notice] = None

    def flush(self, host: str) -> None:
        """Call for the handlers that the host's notices mean."""
        for notice in self._notices.pop(host, {}):
            self.call(self._meant(notice), [host])

    def call(self, steps: Sequence[Step], hosts: Sequence[str]) -> None:
        """These handlers are to run on these hosts."""
        for step in steps:
            self._called.setdefault(step, {}).update(dict.fromkeys(hosts))

    def called(self, host: str) -> frozenset[Step]:
        """The handlers that are to run on a host."""
        return frozenset(step for step, hosts in self._called.items() if host in hosts)

    def due(self, host: str) -> bool:
        """Whether a flush on this host would do anything."""
        return host in self._notices or bool(self.called(host))

    def done(self, step: Step, hosts: Sequence[str]) -> None:
        """This handler has run on these hosts."""
        called = self._called.get(step, {})
        for host in hosts:
            called.pop(host, None)

    def _meant(self, notice: str) -> list[Step]:
        """As in Ansible: of several handlers of one name the first, and all that listen."""
        found = [one for one in self.steps if self._names.get(one.task.path) == notice][:1]
        seen: set[str] = set()
        for step in self.steps:
            name = self._names.get(step.task.path, "")
            if notice in step.task.listen and name not in seen:
                seen |= {name} if name else set()
                found.append(step)
        return found
