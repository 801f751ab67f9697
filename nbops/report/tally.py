"""How far the present task is: which hosts are done, and with what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nbops.base.events import Status, StepEnded, StepProgress, TaskStarted
from nbops.report.step import is_item


@dataclass
class Waiting:
    """A host that is not done: what it said last, and since when the task runs there."""

    since: float
    message: str = ""


@dataclass
class Tally:
    """One task while it runs. Times are those of the events; `told` are the hosts of which a
    report has said what there is to say."""

    started: TaskStarted
    ended: dict[str, Status] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    waiting: dict[str, Waiting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting = {host: Waiting(self.started.time) for host in self.started.hosts}

    def progress(self, event: StepProgress) -> None:
        """A host says how far it is."""
        self.waiting.setdefault(event.host, Waiting(event.time)).message = event.message

    def take(self, event: StepEnded) -> None:
        """A host is done (or an item of its loop, which changes nothing here)."""
        if is_item(event):
            return
        self.waiting.pop(event.host, None)
        self.ended[event.host] = event.status

    @property
    def done(self) -> bool:
        """Whether every host has ended."""
        return not self.waiting

    def of(self, status: Status) -> Sequence[str]:
        """The hosts that ended so, in the order in which they ended."""
        return [host for host, one in self.ended.items() if one is status]
