"""Takes the lock from a run that died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nbops.base.errors import NbopsError, RefusedError
from nbops.base.events import Note
from nbops.engine.lockhosts import LockHosts
from nbops.engine.lockrecord import LIFE, Holder, Record, State, older_runs, parse_holder


@dataclass(frozen=True)
class Broken:
    """A lock that was broken: the new number, the hosts that could not be reached, the other
    runs that hold hosts still, and the hosts on which it could not be given back."""

    number: int
    missing: Sequence[str] = ()
    others: Sequence[str] = ()
    kept: Sequence[str] = ()

    @property
    def free(self) -> bool:
        """Whether nobody holds the cluster."""
        return not self.others and not self.kept


def break_lock(at: LockHosts, run: str, holder: Holder) -> Broken:
    """Take the lock from a run that died: `run` is the id that the records show.

    Raises the number on every host that can be reached, so that the old run can do nothing more
    there, ends its jobs, and leaves the lock free. Until then the records name the run that is
    broken, so that a break that was cut short is gone on with by saying it again.

    Raises RefusedError when the heart still beats or the id is another one, and HostUnusable
    when too few hosts can be reached.
    """
    seen = at.look_at_most()
    run = next((one.to_break for one in seen.records if one.held and one.run == run), run)
    ours = [one for one in seen.records if one.held and one.to_break == run]
    others = [one for one in seen.held if one not in ours]
    _check(run, ours, others)
    records = [one for one in seen.records if one not in others]
    hosts = [one.host for one in records]
    older = older_runs(records, holder.run)
    holder, number = replace(holder, breaks=run, older=older), seen.number + 1
    if begun := [one for one in ours if one.breaks and one.number == seen.number]:
        # The same record, also on the hosts that it did not get to: with one more number the run
        # would seem to have been followed by another, and could not go on.
        holder, number = parse_holder(begun[0].line), seen.number
    try:
        # Parked: it has no heartbeat for whose end the next one would have to wait.
        _, error = at.announce(records, number, holder, State.PARKED)
        if error is not None:
            raise error
        at.end_jobs(hosts, older)
    except NbopsError:
        message = f"the lock of run {run} is not broken everywhere"
        hint = f"`nbops lock break {run}` once more goes on with it"
        at.emit(Note(level="warning", message=message, hint=hint))
        raise
    after = replace(holder, breaks="", older=older if seen.missing else ())
    kept = at.give_back(hosts, number, holder, State.FREE, after)
    return Broken(number, sorted(seen.missing), sorted({one.to_break for one in others}), kept)


def _check(run: str, ours: Sequence[Record], others: Sequence[Record]) -> None:
    """Raises RefusedError unless `ours` are records of a run that may be broken."""
    if not ours and not others:
        raise RefusedError("the cluster is not locked")
    if not ours:
        raise RefusedError(
            f"the lock is that of run {others[0].to_break}, not of `{run}`",
            hint="name the run that `nbops lock show` shows",
        )
    for record in (*ours, *others):
        if record.beats:
            raise RefusedError(
                f"run {record.run} of {record.owner} lives: its last sign on {record.host} "
                f"is {record.age} s old",
                hint=f"wait; it counts as dead after {LIFE} s without a sign",
            )
