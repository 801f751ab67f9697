"""A session with one host: finds or makes the link and the streams, and mends them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import tenacity

from nbops.base.command import LOGIN, Command, Effect, Identity, Outcome
from nbops.base.errors import (
    ConnectionLost,
    DeadlineExceeded,
    HostFault,
    HostUnusable,
    Interrupted,
    JobLost,
    NbopsError,
)
from nbops.base.events import Emit, Note
from nbops.base.retry import Deadline, Stop
from nbops.base.secret import beginning
from nbops.transport import files, jobs
from nbops.transport.jobs import JobMissing, Output
from nbops.transport.machine import Machine
from nbops.transport.script import Job
from nbops.transport.session import Fence, JobReport, Watch
from nbops.transport.shelf import StreamShelf, Use
from nbops.transport.stream import DeadlinePassed, Link, Stream, WireBroken

T = TypeVar("T")

RECONNECT = 120.0  # seconds in which a broken connection must be had again
_SHELL_ENDS = 3  # times in a row, on a link that lives, until a command is given up
_LAST_TRY = 5.0  # seconds for a connection that is wanted only to clean up


class HostSession:
    """See `Session`. Any number of threads may use it; each has a stream to itself."""

    def __init__(
        self,
        host: str,
        run: str,
        connect: Callable[[], Link],
        *,
        stop: Stop,
        emit: Emit,
        fence: Callable[[], Fence | None],
        connect_again: Callable[[], Link] | None = None,
        reconnect: float = RECONNECT,
        machine: Machine | None = None,
    ) -> None:
        self._host = host
        self._run = run
        self._connect = connect
        self._try_again = connect_again or connect
        self._stop = stop
        self._emit = emit
        self._fence = fence
        self._reconnect = reconnect
        self._machine = machine or Machine(host)
        self._connecting = threading.Lock()
        self._shelf: StreamShelf | None = None
        self._was_connected = False
        self._closing = False
        self._identities: set[Identity] = set()

    @property
    def host(self) -> str:
        """See `Session`."""
        return self._host

    def run(self, command: Command, watch: Watch | None = None) -> Outcome:
        """See `Session`."""
        output, deadline = Output(watch), Deadline(command.deadline)
        begun = time.monotonic()
        if command.effect is Effect.NONE:
            status = self._mended(
                lambda: self._probe(command, output, deadline), output, fresh=True
            )
        else:
            job = Job.of(self._run, command.step)
            status = self._mended(lambda: self._job(command, job, output, deadline), output)
        return output.outcome(status, time.monotonic() - begun)

    def look(self, step: str, identity: Identity = LOGIN) -> JobReport:
        """See `Session`."""
        return self._with(identity, lambda stream: jobs.look(stream, Job.of(self._run, step)))

    def kill(self, step: str, identity: Identity = LOGIN) -> None:
        """See `Session`. May be called from another thread while `run` waits for the job."""
        job = Job.of(self._run, step)
        self._with(identity, lambda stream: jobs.kill(stream, job), Use.KILL)

    def stage(self, content: bytes | Path, identity: Identity = LOGIN) -> str:
        """See `Session`."""

        def send(stream: Stream) -> str:
            return files.stage(stream, self._open().link, content, identity, self._stop)

        return self._with(files.carrier(content, identity), send)

    def fetch(self, path: str, identity: Identity = LOGIN) -> bytes:
        """See `Session`."""
        return files.fetched(path, self.run(files.fetch_command(path, identity)))

    def check(self, identity: Identity = LOGIN) -> None:
        """Connect, and have a shell of this identity. Raises HostUnusable."""
        self.run(Command(":", identity=identity, deadline=60.0))

    def close(self, *, sweep: bool = False) -> None:
        """See `Session`. Sweeps the folder of every identity that was used."""
        self._closing = True
        try:
            if sweep and self._was_connected:
                for identity in tuple(self._identities):
                    self._with(identity, jobs.sweep)
        finally:
            with self._connecting:
                self._drop()
                self._was_connected = self._closing = False

    def _probe(self, command: Command, output: Output, deadline: Deadline) -> int:
        with self._stream(command.identity) as stream:
            try:
                return jobs.probe(stream, command, output, deadline)
            except DeadlinePassed:
                self._end_stream(stream, command.identity)
                raise self._too_late(command) from None
            except Interrupted:
                with contextlib.suppress(NbopsError, WireBroken, DeadlinePassed):
                    self._end_stream(stream, command.identity)
                raise

    def _job(self, command: Command, job: Job, output: Output, deadline: Deadline) -> int:
        with self._stream(command.identity, Use.JOB) as stream:
            try:
                return jobs.run(
                    stream, command, job, output=output, deadline=deadline, fence=self._fence()
                )
            except DeadlinePassed:
                # It may have ended in time while the connection was away.
                outcome = self.look(command.step, command.identity).outcome
                if outcome is not None:
                    output.clear()
                    output.take(outcome.stdout, outcome.stderr)
                    return outcome.status
                # The shell first: it might wait for the lock's record and begin the job later.
                self._end_stream(stream, command.identity)
                self.kill(command.step, command.identity)
                raise self._too_late(command) from None
            except JobMissing:
                raise JobLost(
                    f"{self._host}: the job {command.step} began and left no end: the machine "
                    "restarted, or the job was killed; what it did is not known",
                    hint=f"look at {self._host} before it is run again",
                ) from None

    def _too_late(self, command: Command) -> DeadlineExceeded:
        shown = beginning(" ".join(command.masked().split()), 80)
        how = "gave no output for" if command.idle else "was not done after"
        return DeadlineExceeded(
            f"{self._host}: `{shown}` {how} {command.deadline:g} s; it was killed",
            hint="give it a longer `timeout` if it needs it",
        )

    def _end_stream(self, stream: Stream, identity: Identity) -> None:
        """Kill what a stream runs, over another one."""
        stream.usable = False
        process = stream.process
        if process is not None:
            self._with(
                identity, lambda other: jobs.kill_stream(other, process, stream.mark), Use.KILL
            )

    def _mended(self, attempt: Callable[[], T], output: Output, *, fresh: bool = False) -> T:
        """`attempt` again and again while connections break under it.

        `fresh` forgets the output of a broken attempt: the command is run again. Otherwise it
        goes on where it stopped; the patience with the host begins anew whenever output came,
        or the connection held for as long as that.
        """
        breaks, size, patience = 0, (0, 0), Deadline(self._patience())
        while True:
            began = time.monotonic()
            try:
                return attempt()
            except WireBroken as broken:
                held = time.monotonic() - began > patience.seconds
                if not breaks or (not fresh and (held or output.sizes != size)):
                    breaks = 0
                    patience.renew()
                breaks += 1
                if breaks >= _SHELL_ENDS and self._alive():
                    raise ConnectionLost(
                        f"{self._host}: the shell ended {breaks} times under the same command: "
                        f"{broken}",
                        hint="does the command kill its parent, or does the host end sessions?",
                    ) from broken
                if patience.passed:
                    raise ConnectionLost(
                        f"{self._host}: the connection broke {breaks} times in "
                        f"{patience.seconds:g} s: {broken}",
                        hint=f"look at the network and sshd of {self._host}",
                    ) from broken
                if fresh:
                    output.clear()
                size = output.sizes
                self._stop.sleep(min(1.0, 0.05 * breaks))

    def _with(self, identity: Identity, ask: Callable[[Stream], T], use: Use = Use.QUESTION) -> T:
        def attempt() -> T:
            with self._stream(identity, use) as stream:
                return ask(stream)

        try:
            return self._mended(attempt, Output(), fresh=True)
        except DeadlinePassed:
            raise ConnectionLost(
                f"{self._host}: no answer to a simple question for {jobs.ASK_DEADLINE:g} s",
                hint=f"look at the load and the disks of {self._host}",
            ) from None

    @contextlib.contextmanager
    def _stream(self, identity: Identity, use: Use = Use.QUESTION) -> Iterator[Stream]:
        """A stream of this identity for the caller alone; kept for the next one if it can be."""
        shelf = self._open()
        self._identities.add(identity)
        # What ends processes is not stopped itself: they must be known to be dead.
        stream = shelf.take(identity, use, Stop() if use is Use.KILL else self._stop)
        try:
            yield stream
        finally:
            shelf.give_back(stream)

    def _alive(self) -> bool:
        shelf = self._shelf
        return shelf is not None and shelf.link.alive

    def _open(self) -> StreamShelf:
        """The streams of a link that lives."""
        with self._connecting:
            if self._shelf is not None and self._shelf.link.alive:
                return self._shelf
            self._drop()
            if self._was_connected:
                link = self._connect_again()
            else:
                self._stop.check()
                link = self._connect()
                self._was_connected = True
            self._shelf = StreamShelf(
                link,
                lambda identity, stop: Stream.open(link, self._machine, self._run, identity, stop),
            )
            return self._shelf

    def _connect_again(self) -> Link:
        """The link anew, with back-off. Raises ConnectionLost when it cannot be had in time."""
        self._emit(Note(level="warning", host=self._host, message="connection lost; connecting"))
        retrying = tenacity.Retrying(
            wait=tenacity.wait_exponential(multiplier=0.1, max=8) + tenacity.wait_random(0, 0.2),
            stop=tenacity.stop_before_delay(self._patience()),
            retry=tenacity.retry_if_exception(_may_pass),
            sleep=self._stop.sleep,
            reraise=True,
        )
        try:
            link = retrying(self._try_again)
        except HostUnusable as error:
            raise ConnectionLost(
                f"{self._host}: the connection was lost and could not be had again: {error}",
                hint=error.problems[0].hint,
            ) from error
        self._emit(Note(level="info", host=self._host, message="connected again"))
        return link

    def _patience(self) -> float:
        """Seconds in which a lost connection must be had again."""
        return min(self._reconnect, _LAST_TRY) if self._closing else self._reconnect

    def _drop(self) -> None:
        shelf, self._shelf = self._shelf, None
        if shelf is not None:
            shelf.close()


def _may_pass(error: BaseException) -> bool:
    """Whether trying again may help. A host that is starting refuses logins for a while; one
    with another key than before is another host."""
    return isinstance(error, HostUnusable) and error.fault is not HostFault.WRONG_HOST_KEY
