"""What undoes a run: noted before each step, done in reverse order when the run fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from nbops.base.errors import FenceRefused, Interrupted, NbopsError, StuckError
from nbops.base.events import Emit, PhaseStarted
from nbops.engine.batch import Batch
from nbops.engine.past import WAY_BACK, Past
from nbops.engine.scope import Scope
from nbops.engine.strategy import Linear
from nbops.engine.variables import PlayVariables
from nbops.journal.store import Journal, Seal
from nbops.runbook.model import Block, Task

PHASE = "rollback"


@dataclass(frozen=True)
class Compensation:
    """The tasks that undo one step on the hosts on which it began."""

    numbers: tuple[int, ...]
    node: Task | Block
    scope: Scope
    hosts: tuple[str, ...]
    play: PlayVariables


class Compensations:
    """Everything that would have to be undone, in the order in which it was begun."""

    def __init__(self, journal: Journal, emit: Emit, past: Past, hosts: Collection[str]) -> None:
        self._journal = journal
        self._emit = emit
        self._past = past
        self._hosts = hosts
        self._noted: list[Compensation] = []
        self._times: Counter[tuple[str, str]] = Counter()
        self._last = 0
        self._seals = set(past.sealed)
        self._undoing = False

    def note(self, node: Task | Block, scope: Scope, hosts: Sequence[str], batch: Batch) -> None:
        """`node.rollback` is to run for these hosts when the run fails; on disk on return."""
        numbers = tuple(self._number(node.path, host) for host in hosts)
        self._last = max(self._last, *numbers)
        play = PlayVariables(list(batch.play.layers), dict(batch.play.magic))
        self._noted.append(Compensation(numbers, node, _on_the_way_back(scope), tuple(hosts), play))

    def _number(self, path: str, host: str) -> int:
        """That under which it was noted, when the run goes on; else a new one."""
        before, nth = self._past.noted.get((path, host), ()), self._times[path, host]
        self._times[path, host] += 1
        return before[nth] if nth < len(before) else self._journal.note_compensation(path, host, {})

    def seal(self, door: str) -> bool:
        """See `ActionContext.seal`. A run that goes on finds its steps under the same numbers
        again, so that they tell what is sealed. The way back seals nothing: it ends with
        users let in as well.
        """
        seal = Seal(self._last, door)
        if self._undoing or seal in self._seals:
            return True
        self._journal.mark(seal.mark)
        self._seals.add(seal)
        return False

    def unseal(self, door: str) -> None:
        """See `ActionContext.unseal`."""
        seal = Seal(self._last, door)
        if not self._undoing and seal in self._seals:
            self._journal.unmark(seal.mark)
            self._seals.discard(seal)

    @property
    def any(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self._open)

    @property
    def sealed(self) -> bool:
        """Whether something is not undone because users work with it."""
        return len(self._open) < len(self._noted)

    @property
    def _open(self) -> list[Compensation]:
        sealed = max((seal.number for seal in self._seals), default=0)
        return [one for one in self._noted if min(one.numbers) > sealed]

    @property
    def complete(self) -> bool:
        """Whether all is known again that the interrupted run would have to undo on the hosts that
        there still are."""
        return all(
            self._times[path, host] >= len(numbers)
            for (path, host), numbers in self._past.noted.items()
            if host in self._hosts
        )

    def run(self, linear: Linear) -> None:
        """Undo everything, the last first. What was undone before the run was interrupted is
        not done again, but what it gave is known to what follows.

        Raises StuckError at the first compensation that fails: what was begun before it may
        only be undone after it (nobody is let in to a database that is not restored).
        """
        self._undoing = True
        self._journal.mark("undoing")
        self._emit(PhaseStarted(phase=PHASE))
        for one in reversed(self._open):
            done = all(self._past.undone(number) for number in one.numbers)
            past = linear.parts.past
            name = str(one.node.name or one.node.path)
            batch = Batch(one.hosts, linear.batch.states, one.play)
            walker = replace(
                linear,
                parts=replace(linear.parts, past=past.in_hindsight() if done else past),
                batch=batch,
                phase=PHASE,
                one_phase=True,
                passed=dict(zip(one.hosts, (n * WAY_BACK for n in one.numbers), strict=True)),
                _passes={},
            )
            try:
                walker.nodes(one.node.rollback, one.hosts, one.scope)
            except (Interrupted, FenceRefused):
                raise
            except NbopsError as error:
                raise StuckError(f"`{name}` is not undone: {error}") from error
            if done:
                continue
            for number, host in zip(one.numbers, one.hosts, strict=True):
                if host not in batch.lost:
                    self._journal.compensated(number)
            lost = [host for host in one.hosts if host in batch.lost]
            if lost:
                raise StuckError(f"`{name}` is not undone: {batch.states.why_lost(lost)}")


def _on_the_way_back(scope: Scope) -> Scope:
    """The scope of a step on the way back: no handler runs there, and no `rescue` around the
    step takes a failure."""
    around = (
        replace(one, notify=()) if isinstance(one, Block | Task) and one.notify else one
        for one in scope.around
    )
    return replace(scope, around=tuple(around), guards=frozenset())
