"""All sessions of a run: one for each endpoint, opened when needed, closed together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import tenacity

from nbops.base.command import LOGIN, Identity
from nbops.base.errors import HostFault, HostUnusable
from nbops.base.events import Emit, Note
from nbops.base.retry import Stop
from nbops.transport.endpoint import Endpoint
from nbops.transport.host import RECONNECT, HostSession
from nbops.transport.local import LocalLink
from nbops.transport.machine import Machine
from nbops.transport.session import Fence
from nbops.transport.stream import TICK, Link

if TYPE_CHECKING:
    from nbops.transport.connect import Dialer
    from nbops.transport.sshconfig import Hop

FORKS = 32


class Pool:
    """The sessions of one run.

    `run` names the folder of the run on every host. `fence_of` gives the lock's record of a
    host, or None where there is none (yet). `connect_retries` is how often a host that does
    not answer at first is tried again; `reconnect` for how many seconds one that was lost is.
    `machine_of` gives which machine a host must be, when the run has met it before.
    """

    def __init__(
        self,
        run: str,
        *,
        stop: Stop,
        emit: Emit,
        fence_of: Callable[[str], Fence | None] = lambda _host: None,
        connect_retries: int = 0,
        reconnect: float = RECONNECT,
        machine_of: Callable[[str], Machine] = Machine,
    ) -> None:
        self._run = run
        self._stop = stop
        self._emit = emit
        self._fence_of = fence_of
        self._connect_retries = connect_retries
        self._reconnect = reconnect
        self._machine_of = machine_of
        self._turn = threading.Lock()
        self._sessions: dict[Endpoint, HostSession] = {}
        self._dialer: Dialer | None = None

    def session(self, endpoint: Endpoint) -> HostSession:
        """The session with this endpoint, always the same; it connects when it is used."""
        with self._turn:
            session = self._sessions.get(endpoint)
            if session is None:
                session = self._sessions[endpoint] = HostSession(
                    endpoint.name,
                    self._run,
                    lambda: self._connect(endpoint, self._connect_retries),
                    connect_again=lambda: self._connect(endpoint, 0),
                    stop=self._stop,
                    emit=self._emit,
                    fence=lambda: self._fence_of(endpoint.name),
                    reconnect=self._reconnect,
                    machine=self._machine_of(endpoint.name),
                )
            return session

    def connect_all(
        self,
        endpoints: Sequence[Endpoint],
        forks: int = FORKS,
        identities: Mapping[str, Identity] | None = None,
    ) -> list[HostUnusable]:
        """Connect to all, so many at once; gives every host that cannot be used, in order.

        `identities` says by host's name who else must be had there (sudo is tried then).
        Raises UsageError for a configuration that is refused, and Interrupted.
        """
        wanted = identities or {}

        def one(endpoint: Endpoint) -> HostUnusable | None:
            try:
                self.session(endpoint).check(wanted.get(endpoint.name, LOGIN))
            except HostUnusable as error:
                return error
            return None

        with ThreadPoolExecutor(max(1, forks), thread_name_prefix="connect") as workers:
            return [error for error in workers.map(one, endpoints) if error is not None]

    def close(self, *, sweep: bool = False, forks: int = FORKS) -> None:
        """End all sessions; with `sweep`, remove the run's folder on every host first.

        A host whose folder cannot be swept is told as a warning.
        """
        with self._turn:
            sessions = tuple(self._sessions.values())
            self._sessions.clear()

        def one(session: HostSession) -> None:
            try:
                session.close(sweep=sweep)
            except Exception as error:  # noqa: BLE001 (told; the others are closed all the same)
                message = f"the run's folder was not removed: {error}"
                self._emit(Note(level="warning", host=session.host, message=message))

        if sessions:
            with ThreadPoolExecutor(max(1, forks), thread_name_prefix="close") as workers:
                list(workers.map(one, sessions))

    def _connect(self, endpoint: Endpoint, retries: int) -> Link:
        if endpoint.connection == "local":
            return LocalLink()
        from nbops.transport.sshconfig import hops_of

        hops = hops_of(endpoint)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(retries + 1),
            wait=tenacity.wait_exponential(multiplier=0.5, max=10),
            retry=tenacity.retry_if_exception(
                lambda error: (
                    isinstance(error, HostUnusable) and error.fault is HostFault.UNREACHABLE
                )
            ),
            sleep=self._stop.sleep,
            reraise=True,
        )
        return retrying(lambda: self._heeding_stop(endpoint.name, hops))

    def _heeding_stop(self, host: str, hops: tuple[Hop, ...]) -> Link:
        """Connect, in a thread of its own meanwhile: a handshake cannot be interrupted, so a
        stopped run does not wait for it. Raises HostUnusable, Interrupted."""
        dialer, coming = self._dial(), Future[Link]()

        def connect() -> None:
            try:
                coming.set_result(dialer.connect(host, hops))
            except BaseException as error:  # noqa: BLE001 (raised again where it is awaited)
                coming.set_exception(error)

        threading.Thread(target=connect, name=f"connect {host}", daemon=True).start()
        while not wait((coming,), timeout=TICK).done:
            if self._stop.is_set:
                coming.add_done_callback(_close_late)
                self._stop.check()
        return coming.result()

    def _dial(self) -> Dialer:
        """What opens ssh links; paramiko is loaded only when there is one to open."""
        with self._turn:
            if self._dialer is None:
                from nbops.transport.connect import Dialer

                def accepted(message: str) -> None:
                    self._emit(Note(level="info", message=message))

                self._dialer = Dialer(accepted)
            return self._dialer


def _close_late(coming: Future[Link]) -> None:
    """A link that nobody waits for any more."""
    if coming.exception() is None:
        coming.result().close()
