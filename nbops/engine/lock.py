"""The cluster's lock: taken on every host, each of which keeps a record with a number that only
grows (`lockrecord`).

A run looks at all hosts, announces its number on the first one in sorted order, then on the
others, and only then ends what earlier runs left at work. Each host grants it to one run, so
that of two that start together, the first host decides. More than half of all hosts must grant
it, and each host on which a job is to be begun; so of two runs that see different hosts, one at
most gets it. When refused, a run gives back what it took.

A run that ends gives it back. One that was interrupted leaves it `parked`, and one that was
killed leaves it without a heartbeat: the cluster may then be half-way, so that no other run
gets it before that one was resumed, aborted, or its lock was broken.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from nbops.base.errors import FenceRefused, HostUnusable, LockedError, NbopsError
from nbops.base.events import Note
from nbops.base.retry import Stop
from nbops.engine.heart import Heart
from nbops.engine.lockhosts import LockHosts, locked
from nbops.engine.lockrecord import (
    BREAK,
    GONE,
    Holder,
    Seen,
    State,
    beat_script,
    leave_script,
    older_runs,
    record_path,
)
from nbops.engine.process import gone
from nbops.transport.session import Fence

_NOBODY = Holder("", "", "", "")


@dataclass
class ClusterLock:
    """The lock of one cluster for one run.

    `stop` is set when the lock is taken from this run; `lost` then says so.
    """

    at: LockHosts
    stop: Stop
    number: int = 0
    lost: FenceRefused | None = None
    _holder: Holder = _NOBODY
    _after: Holder = _NOBODY
    _granted: set[str] = field(default_factory=set)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.heart = Heart(self.beat, self._hosts)

    def take(self, holder: Holder, before: int = 0) -> int:
        """Take the lock on every host that can be reached; gives its number. A run that was
        interrupted takes its own anew; `before` is the number that it had (0: none).

        Raises FenceRefused when another run had the cluster meanwhile: what this one knows of it
        is not so any more. Raises LockedError, naming the holder, when another run has it, or
        when this one is still at work, and HostUnusable when too few hosts can be reached; what
        was taken is given back then.
        """
        seen = self.at.look_at_most()
        self._check(seen, holder.run)
        self._check_past(seen, holder.run, before)
        holder = replace(holder, older=older_runs(seen.records, holder.run))
        number = seen.number + 1
        hosts, error = self.at.announce(seen.records, number, holder, State.HELD)
        if error is None:
            self._holder, self._granted, self.number = holder, set(hosts), number
            self.heart.start()
            try:
                self.at.end_jobs(hosts, holder.older)
            except NbopsError as caught:
                error = caught
        if error is not None:
            self.heart.end()
            self.number = 0
            self.stop.lift()
            # What a run that goes on did before is not undone by this.
            state = State.PARKED if seen.held else State.FREE
            self.at.give_back(hosts, number, holder, state, holder)
            raise error
        self._after = holder if seen.missing else replace(holder, older=())
        for host, why in seen.missing.items():
            message = f"not reached; it has to grant the lock before a job begins there: {why}"
            self.at.emit(Note(level="warning", message=message, host=host))
        return number

    def leave(self, *, parked: bool) -> None:
        """Give the lock back, or leave it `parked` for the run to be resumed; a host that
        cannot be reached is told of."""
        self.heart.end()
        if self.number:
            state = State.PARKED if parked else State.FREE
            self.at.give_back(self._hosts(), self.number, self._holder, state, self._after)

    def fence(self, host: str) -> Fence | None:
        """What a job on this host carries: the record and the number of this run; None before
        the lock is taken.

        A host that could not be reached then has to grant it now. Raises HostUnusable when it
        does not.
        """
        if not self.number:
            return None
        if host not in self._granted:
            self._join(host)
        return Fence(record_path(self.at.cluster), self.number)

    def _check(self, seen: Seen, run: str) -> None:
        """Raises LockedError unless the lock is free, or was left by this very run."""
        for record in seen.held:
            if record.run != run or (record.beats and not gone(record.process)):
                raise locked(self.at.cluster, record)

    def _check_past(self, seen: Seen, run: str, before: int) -> None:
        """Raises FenceRefused when a run came after this one had the lock. That its lock was
        broken, and nothing more, is no hindrance."""
        later = [one for one in seen.records if one.number > before and one.run]
        latest = max(later, key=lambda one: one.number, default=None)
        if not before or latest is None or latest.run == run:
            return
        if (latest.command, latest.number) != (BREAK, before + 1):
            raise FenceRefused(
                f"{self.at.cluster} was changed by a later run since ({latest.run},"
                f" `nbops {latest.command}` by {latest.owner}): run {run} cannot go on",
                hint="`nbops status` shows what is so now",
            )

    def _join(self, host: str) -> None:
        """Have a host grant the lock that could not be reached before. A run that is silent and
        holds it there with a lower number has lost the others.

        Asked for by a job, in a worker that must not wait for another worker.
        """
        seen, holder = self.at.look_at(host), self._holder
        if seen.held and seen.run != holder.run and (seen.beats or seen.number >= self.number):
            raise _unusable(host, locked(self.at.cluster, seen))
        try:
            self.at.take(seen, self.number, holder, State.HELD)
        except LockedError as error:
            raise _unusable(host, error) from error
        try:
            self.at.end_jobs_on(host, sorted({*older_runs([seen], holder.run), *holder.older}))
        except NbopsError:
            script = leave_script(self.at.cluster, self.number, holder, State.FREE, holder)
            self.at.give_back_on(host, script, holder)
            raise
        with self._turn:
            self._granted.add(host)

    def _hosts(self) -> list[str]:
        with self._turn:
            return sorted(self._granted)

    def beat(self, host: str) -> None:
        """A sign of life on a host, or the news that the lock was taken from this run."""
        script = beat_script(self.at.cluster, self.number, self._holder)
        _, status, _ = self.at.change(host, script)
        if status == GONE and not self.heart.ended:
            self.lost = FenceRefused(
                f"{host}: the lock was taken from this run",
                hint="this run may do nothing here any more: see `nbops lock show`",
            )
            self.heart.end()
            self.stop.set()


def _unusable(host: str, error: LockedError) -> HostUnusable:
    return HostUnusable(f"{host} came back, but {error}", host=host, hint=error.problems[0].hint)
