"""The monitor of an upgrade: ten GET and ten POST a second at every balancer, each on a
connection of its own and tried once, a websocket, and every answer noted.

A GET asks the app for its version, a POST writes a note, so that it can be asked later whether
anything that was acknowledged is lost.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

EVERY = 0.05
_PATIENCE = 60.0
_SOCKET_PAUSE = 0.3
_FAULTS = (OSError, asyncio.IncompleteReadError, ValueError, TimeoutError)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one request got. Times are those of one clock for all; `version` is what the app
    says it is (GET), `note` what was written (POST), `said` what came with another status."""

    balancer: str
    method: str
    began: float
    ended: float
    status: int
    retry_after: bool
    version: str = ""
    note: str = ""
    said: str = ""

    @property
    def of_app(self) -> bool:
        """Whether the app itself answered. On a starved machine it gets no connection to its
        database at times, and says so; a proxy would not say it in the app's words."""
        return self.status == 200 or (self.status == 500 and self.said.startswith('{"errors"'))


@dataclass
class Seen:
    """All that visitors saw. `faults` are requests without an answer; `sockets` how openings
    of a websocket were answered, or failed."""

    answers: list[Answer] = field(default_factory=list, repr=False)
    faults: list[str] = field(default_factory=list)
    sockets: set[str] = field(default_factory=set)

    def of(self, status: int, balancer: str = "") -> list[Answer]:
        """The answers of a status, in the order in which they were begun."""
        found = [one for one in self.answers if one.status == status]
        chosen = [one for one in found if not balancer or one.balancer == balancer]
        return sorted(chosen, key=lambda one: one.began)

    @property
    def balancers(self) -> list[str]:
        """Those that were asked."""
        return sorted({one.balancer for one in self.answers})

    @property
    def notes(self) -> set[str]:
        """Every note that the app acknowledged."""
        return {one.note for one in self.of(200) if one.method == "POST"}

    def notes_since(self, moment: float) -> set[str]:
        """Those that were asked for after a moment."""
        return {one.note for one in self.of(200) if one.method == "POST" and one.began > moment}

    @property
    def window(self) -> tuple[float, float]:
        """From the first 503 of any balancer to the last. Raises when there was none."""
        down = self.of(503)
        return min(one.ended for one in down), max(one.began for one in down)

    def check_steady(self, version: str) -> None:
        """Nobody noticed anything."""
        assert self.faults == []
        assert [one for one in self.answers if not one.of_app][:3] == []
        assert {one.version for one in self.answers if one.method == "GET"} == {version}

    def check_window(self, old: str | None, new: str) -> None:
        """Every balancer gave 200 of the old version (None: it was asked too late for that),
        then only 503 with Retry-After, then 200 of the new one; and nobody got the old version
        after somebody got the new one."""
        assert self.faults == []
        assert [one for one in self.answers if one.status != 503 and not one.of_app][:3] == []
        assert self.of(503) and self.of(200)
        assert all(one.retry_after for one in self.of(503))
        assert self.sockets <= {"101", "503"}
        assert len(self.balancers) > 0
        for balancer in self.balancers:
            self._check_order(balancer, old, new)
        olds = [one.began for one in self.of(200) if one.version == old]
        news = [one.ended for one in self.of(200) if one.version == new]
        assert not olds or old == new or max(olds) < min(news)

    def _check_order(self, balancer: str, old: str | None, new: str) -> None:
        down = self.of(503, balancer)
        up = [one for one in self.answers if one.balancer == balancer and one.of_app]
        first, last = min(one.ended for one in down), max(one.began for one in down)
        assert [one for one in up if one.began > first and one.ended < last][:3] == []
        # What overlaps the first or the last 503 may be of either side.
        before = {one.version for one in up if one.version and one.began <= first}
        after = {one.version for one in up if one.version and one.ended >= last}
        assert (before, after) == (set() if old is None else {old}, {new}), balancer


@contextmanager
def monitor(
    balancers: Sequence[str], token: str, *, path: str = "/api/notes", every: float = EVERY
) -> Iterator[Seen]:
    """Visitors at the addresses of these balancers, signed in with `token`, who write by a POST
    to `path`, until the block ends: a request `every` so many seconds, at each. What is under
    way at the end is waited for."""
    seen, done = Seen(), threading.Event()
    crowds = [_Crowd(one, token, path, every=every, seen=seen, done=done) for one in balancers]

    async def all_of_them() -> None:
        await asyncio.gather(*(crowd.run() for crowd in crowds))

    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join(_PATIENCE + 10)
        assert not thread.is_alive()


class _Crowd:
    """The visitors at one balancer. Each request is begun when it is due, however long those
    before it take."""

    def __init__(
        self,
        balancer: str,
        token: str,
        path: str,
        *,
        every: float,
        seen: Seen,
        done: threading.Event,
    ) -> None:
        self._balancer = balancer
        self._token = token
        self._path = path
        self._every = every
        self._seen = seen
        self._done = done

    async def run(self) -> None:
        socket = asyncio.create_task(self._socket())
        under_way: set[asyncio.Task[None]] = set()
        number, due = 0, time.monotonic()
        while not self._done.is_set():
            task = asyncio.create_task(self._visit(("GET", "POST")[number % 2], number))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number, due = number + 1, max(due + self._every, time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(socket, *under_way)

    async def _visit(self, method: str, number: int) -> None:
        note = f"{self._balancer} {os.getpid()} {number} {time.time():.3f}"
        began = time.monotonic()
        try:
            status, head, body = await asyncio.wait_for(self._ask(method, note), _PATIENCE)
        except _FAULTS as error:
            self._seen.faults.append(f"{self._balancer} {method}: {error!r}")
            return
        reads = method == "GET" and status == 200
        self._seen.answers.append(
            Answer(
                balancer=self._balancer,
                method=method,
                began=began,
                ended=time.monotonic(),
                status=status,
                retry_after="\nretry-after:" in head,
                version=json.loads(body)["data"]["version"] if reads else "",
                note=note if method == "POST" else "",
                said="" if status in {200, 503} else body.decode(errors="replace")[:200],
            )
        )

    async def _ask(self, method: str, note: str) -> tuple[int, str, bytes]:
        """Status, head in small letters, body; the connection is closed in any case."""
        path = "/api/app:getInfo" if method == "GET" else self._path
        content = json.dumps({"text": note}).encode() if method == "POST" else b""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n"
            f"Authorization: Bearer {self._token}\r\nX-Authenticator: basic\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection(self._balancer, 80)
        try:
            writer.write(head.encode() + content)
            told = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            return int(told.split()[1]), told, _plain(told, await reader.read())
        finally:
            writer.close()

    async def _socket(self) -> None:
        """A websocket, opened again whenever it ends: that it is closed when its node goes is
        what was asked for."""
        while not self._done.is_set():
            try:
                await self._hold_socket()
            except _FAULTS as error:
                self._seen.sockets.add(type(error).__name__)
            await asyncio.sleep(_SOCKET_PAUSE)

    async def _hold_socket(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        reader, writer = await asyncio.open_connection(self._balancer, 80)
        try:
            writer.write(
                "GET /ws HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            status = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            self._seen.sockets.add(status)
            while status == "101" and not self._done.is_set():
                try:
                    if not await asyncio.wait_for(reader.read(1000), 0.5):
                        return
                except TimeoutError:
                    continue
                except ConnectionError:
                    return
        finally:
            writer.close()


def _plain(head: str, body: bytes) -> bytes:
    """A body out of its chunks."""
    if "transfer-encoding: chunked" not in head:
        return body
    whole, rest = b"", body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        whole, rest = whole + rest[:length], rest[length + 2 :]
    return whole
