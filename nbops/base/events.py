"""What happens in a run, as values; who watches is called an observer.

Events are the only way in which nbops speaks while it works. Their fields are read by
other tools (`--json` prints one event a line), so they are added to, never renamed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from nbops.base.secret import Masker

EVENT_FORMAT = 1


class Status(StrEnum):
    """What came of one task on one host, in Ansible's words."""

    OK = "ok"
    CHANGED = "changed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNREACHABLE = "unreachable"
    RESCUED = "rescued"
    IGNORED = "ignored"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. `time` is seconds since the epoch."""

    kind: ClassVar[str] = "event"
    time: float = field(default_factory=time.time)

    def as_dict(self) -> dict[str, Any]:
        """The event as plain data: `format`, `kind` and all fields; secrets still as they are."""
        return {"format": EVENT_FORMAT, "kind": self.kind} | {
            f.name: getattr(self, f.name) for f in fields(self)
        }


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """A command such as `deploy` begins to act on a cluster."""

    kind = "run_started"
    run: str
    command: str
    cluster: str
    hosts: Sequence[str]
    check: bool = False


@dataclass(frozen=True, kw_only=True)
class RunEnded(Event):
    """The run is over. `recap` maps host to counts by status; `seconds` is the whole run;
    `hint` is what can be done about the error that ended it."""

    kind = "run_ended"
    run: str
    exit_code: int
    seconds: float
    recap: Mapping[str, Mapping[str, int]]
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class PhaseStarted(Event):
    """A named part of the run (`prepare`, `verify`…) begins."""

    kind = "phase_started"
    phase: str


@dataclass(frozen=True, kw_only=True)
class PlayStarted(Event):
    """A play begins on the hosts of one batch."""

    kind = "play_started"
    play: str
    hosts: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class TaskStarted(Event):
    """A task begins on some hosts. `step` is its place in the plan."""

    kind = "task_started"
    step: str
    task: str
    action: str
    hosts: Sequence[str]
    phase: str = ""
    handler: bool = False


@dataclass(frozen=True, kw_only=True)
class StepProgress(Event):
    """A step that takes time says how far it is, in the words of what it waits for."""

    kind = "step_progress"
    step: str
    task: str
    host: str
    message: str
    attempt: int = 1
    attempts: int = 1


@dataclass(frozen=True, kw_only=True)
class StepEnded(Event):
    """One task, one host (and one item of its loop, when `item` is set): what came of it."""

    kind = "step_ended"
    step: str
    task: str
    action: str
    host: str
    status: Status
    seconds: float
    item: Any = None
    attempt: int = 1
    message: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    diff: str = ""
    phase: str = ""
    delegate: str = ""


@dataclass(frozen=True, kw_only=True)
class MaintenanceMark(Event):
    """A balancer action turned the 503 page on or off; downtime is the time between."""

    kind = "maintenance_mark"
    on: bool
    host: str


@dataclass(frozen=True, kw_only=True)
class Note(Event):
    """Something the user should know. `level` is `info`, `warning` or `error`."""

    kind = "note"
    level: str
    message: str
    hint: str = ""
    host: str = ""


@dataclass(frozen=True, kw_only=True)
class Question(Event):
    """The run waits for an answer on the terminal; once more, `answered`, when it goes on."""

    kind = "question"
    text: str
    answered: bool = False
    host: str = ""


class Observer(Protocol):
    """Sees every event, in order, on one thread at a time."""

    def on_event(self, event: Event) -> None:
        """Take one event. Must not raise and must not block for long."""

    def close(self) -> None:
        """No further events will come."""


class Emit(Protocol):
    """Where a part of the code sends its events."""

    def __call__(self, event: Event) -> None: ...


class Bus:
    """Hands events to observers, masked, one at a time from whichever thread."""

    def __init__(self, observers: Sequence[Observer], masker: Masker) -> None:
        self._observers = tuple(observers)
        self._masker = masker
        # Re-entrant: a signal handler may speak while this thread is speaking.
        self._turn = threading.RLock()

    def __call__(self, event: Event) -> None:
        """Mask `event` and hand it to every observer."""
        clean = self._masker.event(event)
        with self._turn:
            for observer in self._observers:
                observer.on_event(clean)

    def close(self) -> None:
        """Close every observer."""
        with self._turn:
            for observer in self._observers:
                observer.close()
