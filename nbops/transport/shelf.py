"""The streams of one link: lent to one thread at a time, kept while they can be used again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from nbops.base.command import Identity
from nbops.base.retry import Stop
from nbops.transport.stream import TICK, Link, Stream


class Use(Enum):
    """What a stream is wanted for, with the places that it must leave to others.

    Jobs may wait long, so they leave room for questions (the lock's heartbeat is one), and
    both leave one for what ends them.
    """

    JOB = 2
    QUESTION = 0
    KILL = -1


class StreamShelf:
    """Lends streams. Any number of threads may ask."""

    def __init__(self, link: Link, open_stream: Callable[[Identity, Stop], Stream]) -> None:
        self.link = link
        self._open_stream = open_stream
        self._turn = threading.Condition()
        self._idle: dict[Identity, list[Stream]] = {}
        self._lent: dict[Stream, Identity] = {}
        self._opening = 0
        self._closed = False

    def take(self, identity: Identity, use: Use, stop: Stop) -> Stream:
        """A stream of this identity that heeds `stop`, as soon as there is room for one.

        Raises WireBroken, HostUnusable (the identity is refused), Interrupted.
        """
        room = self.link.streams - use.value
        with self._turn:
            while len(self._lent) + self._opening >= room:
                self._turn.wait(TICK)
                stop.check()
            if kept := self._idle.get(identity):
                stream = kept.pop()
                stream.stop = stop
                self._lent[stream] = identity
                return stream
            surplus = self._surplus()
            self._opening += 1
        for other in surplus:
            other.close()
        try:
            stream = self._open_stream(identity, stop)
        finally:
            with self._turn:
                self._opening -= 1
                self._turn.notify()
        with self._turn:
            self._lent[stream] = identity
        return stream

    def give_back(self, stream: Stream) -> None:
        """The caller is done; a stream that is not usable any more is closed."""
        with self._turn:
            identity = self._lent.pop(stream)
            self._turn.notify()
            if stream.usable and not self._closed and self.link.alive:
                self._idle.setdefault(identity, []).append(stream)
                return
        stream.close()

    def close(self) -> None:
        """Close the idle streams and the link, and with it the others."""
        with self._turn:
            self._closed = True
            streams = [stream for kept in self._idle.values() for stream in kept]
            self._idle.clear()
        for stream in streams:
            stream.close()
        self.link.close()

    def _surplus(self) -> list[Stream]:
        """Idle streams that make room for one more."""
        idle = [(kept, stream) for kept in self._idle.values() for stream in kept]
        over = len(idle) + len(self._lent) + self._opening + 1 - self.link.streams
        chosen = idle[: max(0, over)]
        for kept, stream in chosen:
            kept.remove(stream)
        return [stream for _, stream in chosen]
