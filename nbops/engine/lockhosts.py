"""The lock's record on the hosts of a cluster: looked at, written and given back side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from nbops.base.command import LOGIN, Command, Effect, Identity, Outcome
from nbops.base.errors import (
    ActionFailed,
    ConnectionLost,
    HostFault,
    HostUnusable,
    LockedError,
    NbopsError,
    understood,
)
from nbops.base.events import Emit, Note
from nbops.engine.connections import Connections
from nbops.engine.lockrecord import (
    ABSENT,
    BEHIND,
    BUSY,
    FOLDER,
    GONE,
    HELD,
    LIFE,
    Holder,
    Record,
    Seen,
    State,
    leave_script,
    look_script,
    parse_record,
    take_script,
)
from nbops.engine.older import end_script

_DEADLINE = 30.0


@dataclass
class LockHosts:
    """The hosts of a cluster, as keepers of its lock.

    `identity_of` gives the identity that may write below /var/lib on a host, for hosts whose
    login may not.
    """

    cluster: str
    hosts: Sequence[str]
    connections: Connections
    identity_of: Callable[[str], Identity]
    emit: Emit
    workers: ThreadPoolExecutor
    _identities: dict[str, Identity] = field(default_factory=dict)

    def look(self) -> Seen:
        """The record of every host that can be reached.

        Raises ActionFailed when one cannot be read, and HostUnusable when a host refuses the
        connection, or none can be reached.
        """
        hosts = sorted(self.hosts)
        found = dict(zip(hosts, self.workers.map(self._try_look, hosts), strict=True))
        missing = {host: one for host, one in found.items() if isinstance(one, NbopsError)}
        for error in missing.values():
            if not _away(error):
                raise error
        records = [one for one in found.values() if isinstance(one, Record)]
        if not records:
            raise HostUnusable.of([problem for e in missing.values() for problem in e.problems])
        return Seen(records, missing)

    def look_at_most(self) -> Seen:
        """The same, but raises HostUnusable as well when no more than half can be reached."""
        seen = self.look()
        if not seen.majority:
            hint = "bring them back; those that are gone for good, take out of the inventory"
            problems = [one for error in seen.missing.values() for one in error.problems]
            raise HostUnusable.of([replace(one, hint=hint) for one in problems])
        return seen

    def look_at(self, host: str) -> Record:
        """The record of one host. Raises what sessions raise, and ActionFailed."""
        outcome = self.run(host, look_script(self.cluster), LOGIN)
        if not outcome.ok:
            raise ActionFailed(f"{host}: the lock cannot be read: {_why(outcome)}")
        with understood(host, "nbops"):
            return parse_record(host, outcome.out)

    def announce(
        self, seen: Sequence[Record], number: int, holder: Holder, state: State
    ) -> tuple[list[str], NbopsError | None]:
        """Write the record over those that were seen, the first one first, then the others.

        Gives the hosts on which it may stand now, and the error when it does not stand on all:
        LockedError rather than any other.
        """
        told = [(seen[0].host, self._try_take(seen[0], number, holder, state))]
        if told[0][1] is None:
            told += self.workers.map(
                lambda one: (one.host, self._try_take(one, number, holder, state)), seen[1:]
            )
        errors = [error for _, error in told if error is not None]
        errors.sort(key=lambda error: not isinstance(error, LockedError))
        hosts = [host for host, error in told if not isinstance(error, LockedError)]
        return hosts, errors[0] if errors else None

    def take(self, seen: Record, number: int, holder: Holder, state: State) -> None:
        """Write the record of one host over the one that was seen there. Raises LockedError
        when it is another one by now, or its number is not lower."""
        host = seen.host
        script = take_script(self.cluster, number, holder, state, seen)
        outcome = self.run(host, script, self.identity(host))
        if outcome.ok:
            return
        if outcome.status in {HELD, BEHIND}:
            raise locked(self.cluster, self.look_at(host))
        raise ActionFailed(
            f"{host}: the lock cannot be written: {_why(outcome)}",
            hint=f"{FOLDER} must be writable for root there",
        )

    def give_back(
        self, hosts: Sequence[str], number: int, holder: Holder, state: State, after: Holder
    ) -> list[str]:
        """Put the records of `holder` into this state, in the name of `after`; those that are
        another's stay. Gives the hosts on which that failed, and tells of them."""
        script = leave_script(self.cluster, number, holder, state, after)
        given = self.workers.map(lambda host: self.give_back_on(host, script, holder), hosts)
        return [host for host, back in zip(hosts, given, strict=True) if not back]

    def give_back_on(self, host: str, script: str, holder: Holder) -> bool:
        """The same on one host, by its script; gives whether it is done."""
        _, _, why = self.change(host, script)
        if why:
            hint = (
                "`nbops lock show` tells of it,"
                f" `nbops lock break {holder.breaks or holder.run}` frees it"
            )
            message = f"the lock stays on {host}: {why}"
            self.emit(Note(level="warning", message=message, hint=hint, host=host))
        return not why

    def change(self, host: str, script: str) -> tuple[str, int, str]:
        """Change a record; gives the host, the script's status, and why the record is not
        changed although it is the holder's."""
        try:
            outcome = self.run(host, script, self.identity(host))
        except NbopsError as error:
            return host, -1, str(error)
        return host, outcome.status, "" if outcome.status in {0, GONE, ABSENT} else _why(outcome)

    def end_jobs(self, hosts: Sequence[str], runs: Iterable[str]) -> None:
        """End what earlier runs left at work: the hosts refuse their further jobs by now.
        Raises ActionFailed when something does not end."""
        every = sorted(runs)
        list(self.workers.map(lambda host: self.end_jobs_on(host, every), hosts))

    def end_jobs_on(self, host: str, runs: Sequence[str]) -> None:
        """The same on one host."""
        for one in runs:
            if number := self._end_jobs_of(host, one):
                message = f"{number} jobs of run {one} were still at work and are ended"
                self.emit(Note(level="warning", message=message, host=host))

    def identity(self, host: str) -> Identity:
        """The login where it is root, else the identity that may become root."""
        known = self._identities.get(host)
        if known is None:
            outcome = self.run(host, "id -u", LOGIN)
            known = LOGIN if outcome.out.strip() == "0" else self.identity_of(host)
            self._identities[host] = known
        return known

    def run(self, host: str, script: str, identity: Identity) -> Outcome:
        """Ask a host. Raises what sessions raise."""
        command = Command(script, effect=Effect.NONE, deadline=_DEADLINE, identity=identity)
        return self.connections.session(host).run(command)

    def _try_look(self, host: str) -> Record | NbopsError:
        try:
            return self.look_at(host)
        except NbopsError as error:
            return error

    def _try_take(
        self, seen: Record, number: int, holder: Holder, state: State
    ) -> NbopsError | None:
        try:
            self.take(seen, number, holder, state)
        except NbopsError as error:
            return error
        return None

    def _end_jobs_of(self, host: str, run: str) -> int:
        outcome = self.run(host, end_script(run), self.identity(host))
        if outcome.ok and re.fullmatch(r"[0-9]{1,9}", outcome.out.strip()):
            return int(outcome.out)
        raise ActionFailed(
            f"{host}: processes of run {run} cannot be ended: {_why(outcome)}",
            hint="end them by hand: they hang in the kernel",
        )


def _away(error: NbopsError) -> bool:
    """Whether a host cannot be reached, rather than refuses."""
    if isinstance(error, HostUnusable):
        return error.fault is HostFault.UNREACHABLE
    return isinstance(error, ConnectionLost)


def _why(outcome: Outcome) -> str:
    if outcome.status == BUSY:
        return "another process holds the record's `guard`"
    return outcome.err.strip() or f"exit status {outcome.status}"


def locked(cluster: str, record: Record) -> LockedError:
    """The error that names who holds the lock, and what can be done about it."""
    return LockedError(
        f"{cluster} is locked by `{record.command}` of {record.owner} since {record.since} "
        f"(run {record.run}, last sign {record.age} s ago on {record.host})",
        hint=_way_on(record),
    )


def _way_on(record: Record) -> str:
    if record.beats:
        return (
            "wait for it; if its computer is gone: "
            f"`nbops lock break {record.run}` once there is no sign for {LIFE} s"
        )
    if record.breaks:
        return f"it was cut short: `nbops lock break {record.breaks}` goes on with it"
    return (
        f"it was interrupted: on {record.owner.rpartition('@')[2] or 'its computer'},"
        f" `nbops resume {record.run}` or `nbops abort {record.run}`; if that computer is lost,"
        f" `nbops lock break {record.run}`"
    )
