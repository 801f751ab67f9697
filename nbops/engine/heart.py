"""The heartbeat of a run: each host is given it by itself, so that one that is silent, whose
connection is tried for again for minutes, leaves the others their signs of life."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

BEAT = 15.0
NAME = "heartbeat"
_SIDE_BY_SIDE = 32


class Heart:
    """Calls `beat` for each of the `hosts` every so many seconds, until it is ended; a host
    whose last call still goes on is left out."""

    def __init__(
        self,
        beat: Callable[[str], None],
        hosts: Callable[[], Sequence[str]],
        every: float = BEAT,
    ) -> None:
        self._beat = beat
        self._hosts = hosts
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name=NAME, daemon=True)

    def start(self) -> None:
        """Begin; the first beat comes after one interval."""
        self._thread.start()

    def end(self) -> None:
        """No beat is begun any more; one that is under way changes nothing that matters."""
        self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether it was ended."""
        return self._ended.is_set()

    def _go_on(self) -> None:
        under_way: dict[str, Future[None]] = {}
        workers = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix=NAME)
        while not self._ended.wait(self._every):
            for host in self._hosts():
                if host not in under_way or under_way[host].done():
                    under_way[host] = workers.submit(self._beat, host)
        workers.shutdown(wait=False, cancel_futures=True)
