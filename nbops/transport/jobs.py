"""Commands and jobs over a stream: what is asked, and what the answers mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nbops.base.command import Command, Outcome
from nbops.base.errors import ActionFailed, ConnectionLost, FenceRefused, NbopsError
from nbops.base.retry import Deadline
from nbops.transport import script
from nbops.transport.framing import new_mark
from nbops.transport.script import Job
from nbops.transport.session import Fence, JobReport, JobState, Watch
from nbops.transport.stream import Answer, Stream

ASK_DEADLINE = 60.0  # for questions that a healthy host answers at once


class JobMissing(Exception):
    """The job began, and the host knows neither a process nor an end of it."""


@dataclass
class Output:
    """What came so far on both outputs of one command, whichever connection brought it."""

    watch: Watch | None = None
    _out: list[bytes] = field(default_factory=list)
    _err: list[bytes] = field(default_factory=list)
    sizes: tuple[int, int] = (0, 0)

    def take(self, out: bytes, err: bytes) -> None:
        """Keep what came, and show it."""
        self.sizes = (self.sizes[0] + len(out), self.sizes[1] + len(err))
        for kept, piece in ((self._out, out), (self._err, err)):
            if piece:
                kept.append(piece)
                if self.watch is not None:
                    self.watch(piece)

    def clear(self) -> None:
        """Forget everything: the command is run again from the start."""
        self._out.clear()
        self._err.clear()
        self.sizes = (0, 0)

    def outcome(self, status: int, seconds: float) -> Outcome:
        """What came of the command."""
        return Outcome(status, b"".join(self._out), b"".join(self._err), seconds)


def probe(stream: Stream, command: Command, output: Output, deadline: Deadline) -> int:
    """Run a command without an effect; gives its status."""
    mark, stream.mark = new_mark(), new_mark()
    request = script.probe(command, mark, stream.mark)
    answer = stream.ask(request, mark, sink=output.take, deadline=deadline, idle=command.idle)
    if script.may_leave_children(command.text()):
        stream.usable = False
    return int(answer.words[1])


def run(
    stream: Stream,
    command: Command,
    job: Job,
    *,
    output: Output,
    deadline: Deadline,
    fence: Fence | None,
) -> int:
    """Begin a job, or attach to it, and wait for its end; gives its status.

    Raises JobMissing, FenceRefused, ActionFailed (no folder to work in, no record to go by).
    """
    mark, stream.mark = new_mark(), ""
    live = output.watch is not None or command.idle
    request = script.begin(command, job, mark, live=live, seen=output.sizes, fence=fence)
    answer = stream.ask(request, mark, sink=output.take, deadline=deadline, idle=command.idle)
    match answer.words:
        case ("ended", status):
            return int(status)
        case ("fence", number):
            raise _fenced(number, fence)
        case ("lost",):
            raise JobMissing
        case ("setsid",):
            raise ActionFailed("the host has no `setsid`", hint="install util-linux there")
        case _:
            raise no_folder()


def look(stream: Stream, job: Job) -> JobReport:
    """What the host knows of a job."""
    output = Output()
    match _question(stream, lambda mark: script.look(job, mark), output).words:
        case ("ended", status, start, end):
            return JobReport(
                JobState.ENDED, output.outcome(int(status), max(0.0, float(end) - float(start)))
            )
        case ("running",):
            return JobReport(JobState.RUNNING)
        case ("absent",):
            return JobReport(JobState.ABSENT)
        case _:
            return JobReport(JobState.LOST)


def kill(stream: Stream, job: Job) -> None:
    """End a job. Raises ConnectionLost when something of it could not be ended."""
    _all_dead(_question(stream, lambda mark: script.kill(job, mark)))


def kill_stream(stream: Stream, process: tuple[int, int], own: str) -> None:
    """End all that another stream of the same identity runs, and its shell."""
    _all_dead(_question(stream, lambda mark: script.kill_stream(*process, own, mark)))


def sweep(stream: Stream) -> None:
    """Remove the run's folder, unless something in it still runs, and before it the files that
    `litter` in it names, one a line: what a step leaves elsewhere when it is cut short."""
    _question(stream, script.sweep)


def _question(
    stream: Stream, request: Callable[[str], bytes], output: Output | None = None
) -> Answer:
    mark = new_mark()
    sink = (output or Output()).take
    return stream.ask(request(mark), mark, sink=sink, deadline=Deadline(ASK_DEADLINE), idle=True)


def _all_dead(answer: Answer) -> None:
    if answer.words:
        raise ConnectionLost(
            f"processes {' '.join(answer.words)} could not be ended",
            hint="end them by hand on the host: they belong to another user or hang in the kernel",
        )


def _fenced(number: str, fence: Fence | None) -> NbopsError:
    """The error for what the host's record said. Only a newer run ends this one for good: what
    cannot be read tells of none, and the job is not begun there."""
    path = fence.path if fence else ""
    if number == "busy":
        return ActionFailed(
            f"the lock's record {path} is being changed and was not let go",
            hint="look which process on the host holds it: `flock` shows in `ps`",
        )
    if number == "unreadable":
        return ActionFailed(
            f"the lock's record {path} is gone or cannot be read",
            hint="somebody removed it or its file system is damaged: see `nbops lock show`",
        )
    own = fence.number if fence else 0
    return FenceRefused(
        f"a newer run holds this host (number {number}, this run has {own})",
        hint="this run may do nothing here any more: see `nbops lock show`",
    )


def no_folder() -> ActionFailed:
    """The error of a host that has no room for the run's folder."""
    return ActionFailed(
        "the run's folder cannot be made or written on the host",
        hint="look for free space and the owner and mode of ~/.nbops or /var/tmp/.nbops-UID there",
    )
