"""The cluster's lock: a record on every host, with a number that only grows.

The record's first line is the number; jobs carry the number of their run, and a host refuses
those that are lower than its record's (`transport.session.Fence`). The heart beats by the
host's own clock, so clocks that differ change nothing. A run first looks at all hosts, then
announces its number on the first one in sorted order, which decides between two that start
together, then on the others.

A run that ends gives it back. One that was interrupted leaves it `parked`, and one that was
killed leaves it without a heartbeat: the cluster may then be half-way, so that no other run
gets it before that one was resumed, aborted, or its lock was broken.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from nbops.base.command import LOGIN, Command, Effect, Identity, Outcome, quote
from nbops.base.errors import ActionFailed, LockedError, NbopsError, RefusedError
from nbops.base.events import Emit, Note
from nbops.engine.connections import Connections
from nbops.engine.older import end_script
from nbops.engine.process import gone
from nbops.transport.session import Fence

FOLDER = "/var/lib/nbops"
LIFE = 60
BEAT = 15.0
_DEADLINE = 30.0
_HELD, _BEHIND, _GONE = 75, 76, 77


class State(StrEnum):
    """Whose the lock is: nobody's, that of a run at work, or of one that was interrupted."""

    FREE = "free"
    HELD = "held"
    PARKED = "parked"


@dataclass(frozen=True, kw_only=True)
class Record:
    """The lock as a host knows it. `age` is in seconds since the last heartbeat."""

    host: str
    number: int = 0
    state: State = State.FREE
    run: str = ""
    owner: str = ""
    command: str = ""
    since: str = ""
    process: str = ""
    age: int = 0

    @property
    def held(self) -> bool:
        """Whether it belongs to a run that has not come to its end."""
        return self.state is not State.FREE

    @property
    def beats(self) -> bool:
        """Whether a run holds it and lives."""
        return self.state is State.HELD and self.age <= LIFE


@dataclass(frozen=True)
class Holder:
    """Who takes the lock: the run, `user@computer`, the command, the time (ISO 8601), and the
    process, so that the same computer can tell that it is gone."""

    run: str
    owner: str
    command: str
    since: str
    process: str = ""

    def line(self) -> str:
        """The holder as one line of the record."""
        return json.dumps(asdict(self))


def record_path(cluster: str) -> str:
    """Where the record of a cluster stands on each of its hosts."""
    return f"{FOLDER}/{cluster}/lock"


def look_script(cluster: str) -> str:
    """Prints the record: number, state, seconds since the last beat, the holder."""
    return f"""
f={quote(record_path(cluster))}
[ -e "$f" ] || {{ echo '0 free 0'; exit 0; }}
{{ read -r number; read -r state; read -r holder; }} <"$f"
printf '%s %s %s\\n%s\\n' "$number" "$state" "$(( $(date +%s) - $(stat -c %Y "$f") ))" "$holder"
"""


def take_script(cluster: str, number: int, holder: Holder, over: str) -> str:
    """Writes the record, unless it is another run's than `over`, or the number is not higher.

    A machine that the inventory has under two names finds its own record the second time.
    """
    folder = f"{FOLDER}/{cluster}"
    return f"""
set -eu
umask 022
mkdir -p {quote(folder)}
cd {quote(folder)}
exec 9>guard
flock -w 10 9
if [ -e lock ]; then
  {{ read -r number; read -r state; read -r holder; }} <lock
  if [ "$number $holder" = {quote(f"{number} {holder.line()}")} ]; then exit 0; fi
  case $holder in *{quote(json.dumps({"run": over})[1:-1])}*) state=free ;; esac
  if [ "$state" != free ]; then exit {_HELD}; fi
  if [ "$number" -ge {number} ]; then exit {_BEHIND}; fi
fi
printf '%s\\nheld\\n%s\\n' {number} {quote(holder.line())} >lock.new
mv -f lock.new lock
"""


def change_script(cluster: str, number: int, change: str) -> str:
    """Does `change` to the record, if it still is that of this number."""
    return f"""
set -eu
cd {quote(f"{FOLDER}/{cluster}")}
exec 9>guard
flock -w 10 9
{{ read -r number; read -r state; read -r holder; }} <lock
[ "$number" = {number} ] && [ "$state" != free ] || exit {_GONE}
{change}
"""


_BEAT_CHANGE = "touch lock"


def _state_change(state: State) -> str:
    return f"""printf '%s\\n{state}\\n%s\\n' "$number" "$holder" >lock.new
mv -f lock.new lock"""


def parse_record(host: str, text: str) -> Record:
    """The record that `look_script` printed. Raises ActionFailed when it is none."""
    lines = text.splitlines()
    try:
        number, state, age = lines[0].split()
        holder: Mapping[str, str] = json.loads(lines[1]) if len(lines) > 1 and lines[1] else {}
        return Record(host=host, number=int(number), state=State(state), age=int(age), **holder)
    except (ValueError, TypeError, IndexError) as error:
        raise ActionFailed(
            f"{host}: the lock's record cannot be read: {error}",
            hint=f"look at {FOLDER} there",
        ) from None


@dataclass
class ClusterLock:
    """The lock of one cluster, taken on all of its hosts.

    `identity_of` gives the identity that may write below /var/lib on a host, for hosts whose
    login may not.
    """

    cluster: str
    hosts: Sequence[str]
    connections: Connections
    identity_of: Callable[[str], Identity]
    emit: Emit
    workers: ThreadPoolExecutor
    number: int = 0
    _identities: dict[str, Identity] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _heart: threading.Thread | None = None

    def look(self) -> list[Record]:
        """The record of every host, in sorted order. Raises what sessions raise."""
        hosts = sorted(self.hosts)
        return list(self.workers.map(self._look, hosts))

    def take(self, holder: Holder) -> int:
        """Take the lock on every host; gives its number. A run that was interrupted takes its
        own anew.

        Raises LockedError, naming the holder, when another run has it, or when this one is
        still at work; nothing is kept then.
        """
        records = self.look()
        for record in records:
            own = record.run == holder.run
            if record.held and not (own and (not record.beats or gone(record.process))):
                raise _locked(self.cluster, record)
        number = max(record.number for record in records) + 1
        hosts = sorted(self.hosts)
        taken: list[str] = []
        try:
            self._take(hosts[0], number, holder, holder.run)
            taken.append(hosts[0])
            for host, error in self.workers.map(
                lambda host: self._try_take(host, number, holder), hosts[1:]
            ):
                if error is not None:
                    raise error
                taken.append(host)
        except NbopsError:
            self._give_back(taken, number)
            raise
        self.number = number
        try:
            self._end_older(records, holder.run)
        except NbopsError:
            self._give_back(hosts, number)
            raise
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heart.start()
        return number

    def leave(self, *, parked: bool) -> None:
        """Give the lock back, or leave it `parked` for the run to be resumed; a host that
        cannot be reached is told of."""
        self._ended.set()
        if self._heart is not None:
            self._heart.join(_DEADLINE)
        if self.number:
            state = State.PARKED if parked else State.FREE
            self._give_back(sorted(self.hosts), self.number, state)

    def fence(self) -> Fence | None:
        """What jobs carry: the record and the number of this run; None before it is taken."""
        return Fence(record_path(self.cluster), self.number) if self.number else None

    def break_lock(self, run: str, holder: Holder) -> int:
        """Take the lock from a run that died: `run` is the id that `look` shows.

        Raises the number on every host, so that the old run can do nothing more, and leaves
        the lock free; gives the new number. Raises RefusedError when the heart still beats
        or the id is another one.
        """
        records = self.look()
        held = [record for record in records if record.held]
        if not held:
            raise RefusedError("the cluster is not locked")
        for record in held:
            if record.run != run:
                raise RefusedError(
                    f"the lock is that of run {record.run}, not of `{run}`",
                    hint="name the run that `nbops lock show` shows",
                )
            if record.beats:
                raise RefusedError(
                    f"run {record.run} of {record.owner} lives: its last sign on {record.host} "
                    f"is {record.age} s old",
                    hint=f"wait; it counts as dead after {LIFE} s without a sign",
                )
        number = max(record.number for record in records) + 1
        for host in sorted(self.hosts):
            self._take(host, number, holder, run)
        self._end_older(records, holder.run)
        self._give_back(sorted(self.hosts), number)
        return number

    def _end_older(self, records: Sequence[Record], run: str) -> None:
        """End what earlier runs left at work: the hosts refuse their further jobs by now."""
        runs = sorted({record.run for record in records if record.run and record.run != run})
        told = self.workers.map(
            lambda host: [(host, one, self._end_jobs(host, one)) for one in runs],
            sorted(self.hosts),
        )
        for host, one, number in (entry for entries in told for entry in entries):
            if number:
                message = f"{number} jobs of run {one} were still at work and are ended"
                self.emit(Note(level="warning", message=message, host=host))

    def _end_jobs(self, host: str, run: str) -> int:
        outcome = self._run(host, end_script(run), self._identity(host))
        if not outcome.ok:
            raise ActionFailed(
                f"{host}: processes of run {run} cannot be ended: {outcome.err.strip()}",
                hint="end them by hand: they hang in the kernel",
            )
        return int(outcome.out)

    def _look(self, host: str) -> Record:
        outcome = self._run(host, look_script(self.cluster), LOGIN)
        if not outcome.ok:
            raise ActionFailed(f"{host}: the lock cannot be read: {outcome.err.strip()}")
        return parse_record(host, outcome.out)

    def _try_take(self, host: str, number: int, holder: Holder) -> tuple[str, NbopsError | None]:
        try:
            self._take(host, number, holder, holder.run)
        except NbopsError as error:
            return host, error
        return host, None

    def _take(self, host: str, number: int, holder: Holder, over: str) -> None:
        script = take_script(self.cluster, number, holder, over)
        outcome = self._run(host, script, self._identity(host))
        if outcome.ok:
            return
        if outcome.status in {_HELD, _BEHIND}:
            raise _locked(self.cluster, self._look(host))
        raise ActionFailed(
            f"{host}: the lock cannot be written: {outcome.err.strip() or outcome.status}",
            hint=f"{FOLDER} must be writable for root there",
        )

    def _give_back(self, hosts: Sequence[str], number: int, state: State = State.FREE) -> None:
        script = change_script(self.cluster, number, _state_change(state))
        for host, why in self.workers.map(lambda host: self._quietly(host, script), hosts):
            if why:
                self.emit(
                    Note(
                        level="warning",
                        message=f"the lock stays on {host}: {why}",
                        hint="`nbops lock show` tells of it, `nbops lock break` frees it",
                        host=host,
                    )
                )

    def _quietly(self, host: str, script: str) -> tuple[str, str]:
        try:
            outcome = self._run(host, script, self._identity(host))
        except NbopsError as error:
            return host, str(error)
        return host, "" if outcome.status in {0, _GONE} else outcome.err.strip()

    def _beat(self) -> None:
        script = change_script(self.cluster, self.number, _BEAT_CHANGE)
        while not self._ended.wait(BEAT):
            for host in sorted(self.hosts):
                if self._ended.is_set():
                    return
                self._quietly(host, script)

    def _identity(self, host: str) -> Identity:
        """The login where it is root, else the identity that may become root."""
        known = self._identities.get(host)
        if known is None:
            outcome = self._run(host, "id -u", LOGIN)
            known = LOGIN if outcome.out.strip() == "0" else self.identity_of(host)
            self._identities[host] = known
        return known

    def _run(self, host: str, script: str, identity: Identity) -> Outcome:
        command = Command(script, effect=Effect.NONE, deadline=_DEADLINE, identity=identity)
        return self.connections.session(host).run(command)


def _locked(cluster: str, record: Record) -> LockedError:
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
    return (
        f"it was interrupted: on {record.owner.rpartition('@')[2] or 'its computer'},"
        f" `nbops resume {record.run}` or `nbops abort {record.run}`; if that computer is lost,"
        f" `nbops lock break {record.run}`"
    )
