"""What was done before the run was interrupted: it is taken over, never done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from nbops.actions.api import Directive, EndRun, Meta
from nbops.base.events import Status
from nbops.engine.outcome import Included, TaskOutcome
from nbops.journal.store import Seal, as_json
from nbops.journal.unfinished import Place, Unfinished

WAY_BACK = 1000  # more often than a task runs on the way, or to undo one step


class Aborted(Exception):
    """The walk has come to where the interrupted run stood; now everything is undone."""


class Past(Protocol):
    """An earlier part of the same run."""

    @property
    def aborting(self) -> bool:
        """Whether nothing further is to be done, and what is open is to be ended."""

    @property
    def undoing(self) -> bool:
        """Whether the way back had begun: nothing further is done then either."""

    @property
    def changed(self) -> bool:
        """Whether the runbook or the inventory is another one than that it was begun with."""

    @property
    def noted(self) -> Mapping[tuple[str, str], tuple[int, ...]]:
        """The numbers of the compensations that it had come to, by path and host."""

    @property
    def sealed(self) -> frozenset[Seal]:
        """Up to which compensation nothing is undone, for each door that was opened."""

    def of_the_way_back(self) -> Past:
        """The same for the way back: what failed of it is done again."""

    def in_hindsight(self) -> Past:
        """The same for what was undone before the run was interrupted: nothing of it is done
        again, and what it gave is known."""

    def outcome(
        self, path: str, host: str, number: int, *, guards: frozenset[Status]
    ) -> TaskOutcome | None:
        """What a task gave on a host the `number`th time; None when it has to be done.

        `guards` are the failures that a `rescue` further out takes: others are tried anew, unless
        the way back had begun.
        """

    def try_anew(
        self, path: str, host: str, number: int, *, guards: frozenset[Status]
    ) -> Mapping[int, int]:
        """Count one more try of each item of a task that failed; gives the counts by item.

        What went well is not tried anew, nor what a lost connection kept from being known: the
        host tells what came of that. `guards` as for `outcome`.
        """

    def tries(self, path: str, host: str, number: int, item: int) -> int:
        """How often an item of a task was tried anew: each try has effects of its own."""

    def done(self, path: str, host: str, number: int) -> bool:
        """Whether a task came to its end on a host, whether or not its outcome was kept."""

    def come_to(self, path: str, hosts: Iterable[str], number: int) -> None:
        """A task is met again on these hosts."""

    def further(self, known: Collection[str]) -> bool:
        """Whether some of these hosts had done what has not been met again yet."""

    def stood_for(self, path: str, number: int, known: Collection[str]) -> str:
        """Who did a task that is not among these hosts any more; empty when nobody did."""

    def open_effects(self, path: str, host: str) -> list[str]:
        """The step ids of effects of a task on a host that were begun and not concluded."""

    def succeeded(self, path: str, host: str) -> list[str]:
        """The step ids of effects of a task on a host that ended well."""

    def undone(self, number: int) -> bool:
        """Whether this compensation was done."""


class NoPast:
    """The past of a run that has only just begun."""

    aborting = False
    undoing = False
    changed = False
    noted: Mapping[tuple[str, str], tuple[int, ...]] = MappingProxyType({})
    sealed: frozenset[Seal] = frozenset()

    def of_the_way_back(self) -> NoPast:
        """There is none either."""
        return self

    def outcome(
        self, path: str, host: str, number: int, *, guards: frozenset[Status]
    ) -> TaskOutcome | None:
        """None: everything has to be done."""
        del path, host, number, guards
        return None

    def try_anew(
        self, path: str, host: str, number: int, *, guards: frozenset[Status]
    ) -> Mapping[int, int]:
        """There is no failure."""
        del path, host, number, guards
        return {}

    def tries(self, path: str, host: str, number: int, item: int) -> int:
        """None."""
        del path, host, number, item
        return 0

    def done(self, path: str, host: str, number: int) -> bool:
        """Nothing was."""
        del path, host, number
        return False

    def come_to(self, path: str, hosts: Iterable[str], number: int) -> None:
        """For the first time."""

    def further(self, known: Collection[str]) -> bool:
        """Nothing was done."""
        del known
        return False

    def stood_for(self, path: str, number: int, known: Collection[str]) -> str:
        """Nobody."""
        del path, number, known
        return ""

    def open_effects(self, path: str, host: str) -> list[str]:
        """None at all."""
        del path, host
        return []

    def succeeded(self, path: str, host: str) -> list[str]:
        """None either."""
        del path, host
        return []

    def in_hindsight(self) -> NoPast:
        """There is nothing to look back at."""
        return self

    def undone(self, number: int) -> bool:
        """Nothing was."""
        del number
        return False


@dataclass(frozen=True)
class Interruption:
    """The past of a run that goes on, or is undone. `failed` holds the items that failed of tasks
    that came to their end, `retries` how often an item was tried anew; -1 stands for a task
    without a loop. `effects` were begun and not concluded, `good` ended well. `ahead` is what was
    done and not met again yet, noted only when the runbook or the inventory has `changed`."""

    outcomes: Mapping[tuple[str, str, int], Mapping[str, Any]] = field(repr=False)
    ended: frozenset[tuple[str, str, int]] = frozenset()
    failed: Mapping[tuple[str, str, int], frozenset[int]] = field(default_factory=dict)
    effects: frozenset[str] = frozenset()
    good: frozenset[str] = frozenset()
    noted: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    compensated: frozenset[int] = frozenset()
    undoing: bool = False
    sealed: frozenset[Seal] = frozenset()
    aborting: bool = False
    hindsight: bool = False
    changed: bool = False
    ahead: set[Place] = field(default_factory=set)
    retries: dict[tuple[str, str, int, int], int] = field(default_factory=dict)

    def of_the_way_back(self) -> Interruption:
        """See `Past`."""
        return replace(self, aborting=False, undoing=False)

    def in_hindsight(self) -> Interruption:
        """See `Past`."""
        return replace(self, hindsight=True)

    def outcome(
        self, path: str, host: str, number: int, *, guards: frozenset[Status]
    ) -> TaskOutcome | None:
        """See `Past`."""
        document = self.outcomes.get((path, host, number))
        if document is None:
            nothing = {"changed": False, "skipped": True}
            return TaskOutcome(host, Status.SKIPPED, nothing) if self.hindsight else None
        found = recalled(host, document)
        lost = found.status in {Status.FAILED, Status.UNREACHABLE} and not found.ignored
        if lost and found.status not in guards and not self._settled:
            return None
        return found

    def try_anew(
        self, path: str, host: str, number: int, *, guards: frozenset[Status]
    ) -> Mapping[int, int]:
        """See `Past`."""
        if Status.FAILED in guards or self._settled:
            return {}
        failed = self.failed.get((path, host, number), frozenset())
        counts = {item: self.tries(path, host, number, item) + 1 for item in sorted(failed)}
        self.retries.update({(path, host, number, item): n for item, n in counts.items()})
        return counts

    @property
    def _settled(self) -> bool:
        """Whether failures stay what they are."""
        return self.undoing or self.aborting or self.hindsight

    def tries(self, path: str, host: str, number: int, item: int) -> int:
        """See `Past`."""
        return self.retries.get((path, host, number, item), 0)

    def done(self, path: str, host: str, number: int) -> bool:
        """See `Past`."""
        return (path, host, number) in self.ended

    def come_to(self, path: str, hosts: Iterable[str], number: int) -> None:
        """See `Past`."""
        self.ahead.difference_update((path, host, number) for host in hosts)

    def further(self, known: Collection[str]) -> bool:
        """See `Past`."""
        return any(host in known for _, host, _ in self.ahead)

    def stood_for(self, path: str, number: int, known: Collection[str]) -> str:
        """See `Past`."""
        there = (host for task, host, nth in self.ahead if (task, nth) == (path, number))
        return next((host for host in sorted(there) if host not in known), "")

    def open_effects(self, path: str, host: str) -> list[str]:
        """See `Past`."""
        return sorted(step for step in self.effects if step.startswith(f"{path}/{host}/"))

    def succeeded(self, path: str, host: str) -> list[str]:
        """See `Past`."""
        return sorted(step for step in self.good if step.startswith(f"{path}/{host}/"))

    def undone(self, number: int) -> bool:
        """See `Past`."""
        return number in self.compensated


def interruption(state: Unfinished, *, aborting: bool, changed: bool = False) -> Interruption:
    """The past of a run that is in this state; `changed`: it goes on with other hosts, or another
    runbook, than it was begun with."""
    return Interruption(
        outcomes=state.outcomes,
        ended=state.done,
        failed=state.failed,
        effects=state.open_effects,
        good=state.succeeded,
        noted=state.noted,
        compensated=state.compensated,
        undoing=state.undoing,
        sealed=state.sealed,
        aborting=aborting,
        changed=changed,
        ahead={one for one in state.done if one[2] < WAY_BACK} if changed else set(),
        retries=dict(state.retries),
    )


def document_of(
    outcome: TaskOutcome, mask: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any] | None:
    """An outcome as plain data, if it can be had back from it just as it is.

    None when it holds a secret, says `mask` (the journal keeps none), or something that JSON has
    no word for: the task is then done again, and finds its effects done.
    """
    directives = [_directive(one) for one in outcome.directives]
    document = {
        "status": str(outcome.status),
        "registered": outcome.registered,
        "changed": outcome.changed,
        "ignored": outcome.ignored,
        "facts": outcome.facts,
        "host_facts": outcome.host_facts,
        "delegated": outcome.delegated,
        "delegated_facts": outcome.delegated_facts,
        "includes": [[one.file, dict(one.variables)] for one in outcome.includes],
        "directives": directives,
    }
    if None in directives or mask(document) != document:
        return None
    return document if json.loads(as_json(document)) == document else None


def recalled(host: str, document: Mapping[str, Any]) -> TaskOutcome:
    """The outcome that `document_of` made a document of."""
    return TaskOutcome(
        host=host,
        status=Status(document["status"]),
        registered=dict(document["registered"]),
        changed=document["changed"],
        ignored=document["ignored"],
        facts=dict(document["facts"]),
        host_facts=dict(document["host_facts"]),
        delegated=dict(document.get("delegated", {})),
        delegated_facts=dict(document.get("delegated_facts", {})),
        includes=[Included(file, values) for file, values in document["includes"]],
        directives=[_recalled(one) for one in document["directives"]],
    )


def _directive(one: object) -> dict[str, Any] | None:
    match one:
        case Meta(what=what):
            return {"meta": what}
        case EndRun(why=why):
            return {"end": why}
        case _:
            return None


def _recalled(one: Mapping[str, Any]) -> Directive:
    return Meta(one["meta"]) if "meta" in one else EndRun(one["end"])
