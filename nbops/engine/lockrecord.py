"""The lock's record on a host: what it holds, and the scripts that read and change it.

Its first line is the number; jobs carry the number of their run, and a host refuses those that
are lower than its record's (`transport.session.Fence`). The second is the state, the third the
holder. The file's time is the last heartbeat, by the host's own clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from nbops.base.command import quote
from nbops.base.errors import ActionFailed, NbopsError
from nbops.base.typed import typed

FOLDER = "/var/lib/nbops"
LIFE = 60
BREAK = "lock break"  # the command that takes the lock of a run away
HELD, BEHIND, GONE, BUSY, ABSENT = 75, 76, 77, 78, 79  # why a script leaves the record as it is


class State(StrEnum):
    """Whose the lock is: nobody's, that of a run at work, or of one that was interrupted."""

    FREE = "free"
    HELD = "held"
    PARKED = "parked"


@dataclass(frozen=True, kw_only=True)
class Record:
    """The lock as a host knows it. `age` is in seconds since the last heartbeat, `line` the
    holder as it stands there; the other fields are those of `Holder`."""

    host: str
    number: int = 0
    state: State = State.FREE
    run: str = ""
    owner: str = ""
    command: str = ""
    since: str = ""
    process: str = ""
    breaks: str = ""
    older: tuple[str, ...] = ()
    age: int = 0
    line: str = ""

    @property
    def held(self) -> bool:
        """Whether it belongs to a run that has not come to its end."""
        return self.state is not State.FREE

    @property
    def beats(self) -> bool:
        """Whether a run holds it and lives."""
        return self.state is State.HELD and self.age <= LIFE

    @property
    def to_break(self) -> str:
        """The run that `lock break` has to name."""
        return self.breaks or self.run


@dataclass(frozen=True)
class Holder:
    """Who takes the lock: the run, `user@computer`, the command, the time (ISO 8601), and the
    process, so that the same computer can tell that it is gone.

    `breaks` is the run whose lock is being broken. `older` are earlier runs whose jobs may
    still be at work on some host: whoever takes the lock over has to end them.
    """

    run: str
    owner: str
    command: str
    since: str
    process: str = ""
    breaks: str = ""
    older: tuple[str, ...] = ()

    def line(self) -> str:
        """The holder as one line of the record."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Seen:
    """The lock as its hosts know it: the records of those that can be reached, in sorted
    order, and why the others cannot."""

    records: Sequence[Record]
    missing: Mapping[str, NbopsError] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many hosts the cluster has."""
        return len(self.records) + len(self.missing)

    @property
    def majority(self) -> bool:
        """Whether more than half of the hosts can be reached."""
        return 2 * len(self.records) > self.total

    @property
    def number(self) -> int:
        """The highest number."""
        return max((record.number for record in self.records), default=0)

    @property
    def held(self) -> Sequence[Record]:
        """The records of runs that have not come to their end."""
        return [record for record in self.records if record.held and not self.outlived(record)]

    def outlived(self, record: Record) -> bool:
        """Whether a record was left on a host that was away when its run ended or was broken:
        more than half of the hosts have a later one by now, which they grant only then."""
        later = [
            one
            for one in self.records
            if one.number > record.number
            or (one.number, one.run, one.held) == (record.number, record.run, False)
        ]
        return record.held and not record.beats and 2 * len(later) > self.total


def older_runs(records: Sequence[Record], run: str) -> tuple[str, ...]:
    """The runs but `run` that these records tell of: their jobs may still be at work."""
    runs = {one for record in records for one in (record.run, record.breaks, *record.older)}
    return tuple(sorted(runs - {run, ""}))


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


def take_script(cluster: str, number: int, holder: Holder, state: State, seen: Record) -> str:
    """Writes the record, unless its number is not lower, or it is held and is another one than
    was `seen`: the caller has decided that this one may be taken over.

    A machine that the inventory has under two names finds its own record the second time.
    """
    line = holder.line()
    return f"""
set -eu
umask 022
mkdir -p {quote(f"{FOLDER}/{cluster}")}
{_guarded(cluster)}
if [ -e lock ]; then
  {{ read -r number; read -r state; read -r holder; }} <lock
  if [ "$number $holder" = {quote(f"{number} {line}")} ]; then exit 0; fi
  if [ "$number $holder" = {quote(f"{seen.number} {seen.line}")} ]; then state=free; fi
  if [ "$state" != free ]; then exit {HELD}; fi
  if [ "$number" -ge {number} ]; then exit {BEHIND}; fi
fi
{_written(number, state, line)}
"""


def beat_script(cluster: str, number: int, holder: Holder) -> str:
    """A sign of life in the record, if it still is that of this holder."""
    return _own(cluster, number, holder) + "touch lock\n"


def leave_script(cluster: str, number: int, holder: Holder, state: State, after: Holder) -> str:
    """Puts the record into this state and names `after`, if it still is that of `holder`."""
    return _own(cluster, number, holder) + _written(number, state, after.line()) + "\n"


def parse_holder(line: str) -> Holder:
    """The holder of a record's line. Raises ValueError when it is none."""
    return typed(Holder, json.loads(line))


def parse_record(host: str, text: str) -> Record:
    """The record that `look_script` printed. Raises ActionFailed when it is none."""
    lines = text.splitlines()
    try:
        number, state, age = lines[0].split()
        line = lines[1] if len(lines) > 1 else ""
        holder = parse_holder(line) if line else None
        # A beat that lies ahead is no younger: the host's clock was set back since.
        seconds = abs(int(age))
        return Record(
            host=host,
            number=int(number),
            state=State(state),
            age=seconds,
            line=line,
            **(vars(holder) if holder else {}),
        )
    except (ValueError, TypeError, IndexError) as error:
        raise ActionFailed(
            f"{host}: the lock's record cannot be read: {error}",
            hint=f"look at {FOLDER} there",
        ) from None


def _guarded(cluster: str) -> str:
    return f"""cd {quote(f"{FOLDER}/{cluster}")}
exec 9>guard
flock -w 10 9 || exit {BUSY}"""


def _own(cluster: str, number: int, holder: Holder) -> str:
    """Goes on only with this holder's record. Two runs that start together may have the same
    number, each on other hosts, so that the number alone does not tell whose it is."""
    return f"""
set -eu
[ -e {quote(record_path(cluster))} ] || exit {ABSENT}
{_guarded(cluster)}
{{ read -r number; read -r state; read -r holder; }} <lock
[ "$number $holder" = {quote(f"{number} {holder.line()}")} ] && [ "$state" != free ] || exit {GONE}
"""


def _written(number: int, state: State, line: str) -> str:
    return f"""printf '%s\\n%s\\n%s\\n' {number} {state} {quote(line)} >lock.new
mv -f lock.new lock"""
