"""What a session with a host can do, whatever carries it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from nbops.base.command import LOGIN, Command, Identity, Outcome

Watch = Callable[[bytes], None]


class JobState(StrEnum):
    """What a host knows of a job.

    `ABSENT`: it never began there. `RUNNING`: its process group lives. `ENDED`: it has an
    exit status. `LOST`: it began, and neither lives nor has a status (the machine went down).
    """

    ABSENT = "absent"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job as its host knows it; `outcome` is set when it has ended."""

    state: JobState
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Fence:
    """The lock's record on a host: a job with a lower number than the record's is refused.

    `path` is a file there, whose first line is the number.
    """

    path: str
    number: int


class Session(Protocol):
    """A conversation with one host. Any number of threads may use it.

    All methods raise HostUnusable when the host cannot be reached at first, ConnectionLost
    when a connection broke and could not be had again in time, DeadlineExceeded when the
    command's deadline passed (its whole process group is dead then), FenceRefused when the
    host knows a newer run, and Interrupted when the run is stopped while they wait.
    """

    @property
    def host(self) -> str:
        """The inventory's name of the host."""

    def run(self, command: Command, watch: Watch | None = None) -> Outcome:
        """Carry out `command` and wait for its end.

        Without an effect it runs in the host's shell stream. With one it becomes a job named
        by its step id: when a job of that name is there already, it is attached to instead of
        being begun a second time, and a broken connection is made again meanwhile. `watch`
        is given output as it comes.
        """

    def look(self, step: str, identity: Identity = LOGIN) -> JobReport:
        """What became of the job of this step id; starts nothing."""

    def kill(self, step: str, identity: Identity = LOGIN) -> None:
        """End the job of this step id and know that its processes are dead."""

    def stage(self, content: bytes | Path, identity: Identity = LOGIN) -> str:
        """Put content into a file of mode 0600 in the run's folder; gives its path there.

        The same content of the same run is not sent twice. A later job puts it in place.
        """

    def fetch(self, path: str, identity: Identity = LOGIN) -> bytes:
        """The content of a file on the host. Raises ActionFailed when it cannot be read."""

    def close(self, *, sweep: bool = False) -> None:
        """End the session; with `sweep`, remove the run's folder on the host first."""
