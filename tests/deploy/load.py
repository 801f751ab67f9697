"""Visitors: requests without end, each tried once, and every answer noted."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    """What a request got, when it was begun and when it was answered."""

    began: float
    ended: float
    method: str
    status: int
    retry: bool


@dataclass
class Seen:
    """What visitors got, and what went wrong."""

    answers: list[Answer] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    sockets: Counter[str] = field(default_factory=Counter)

    def statuses(self) -> set[int]:
        return {answer.status for answer in self.answers}

    def mixed(self) -> list[Answer]:
        """What was not 503 although it was begun after a 503 was given and answered before
        another was asked for. (Of requests at the same time none is the first.)"""
        down = [answer for answer in self.answers if answer.status == 503]
        first = min(answer.ended for answer in down)
        last = max(answer.began for answer in down)
        others = (answer for answer in self.answers if answer.status != 503)
        return [answer for answer in others if answer.began > first and answer.ended < last]


@contextmanager
def visitors(host: str, port: int = 80, *, tls: bool = False) -> Iterator[Seen]:
    """GET and POST on kept and on fresh connections, and a websocket, until the block ends."""
    seen, done = Seen(), threading.Event()
    context = ssl._create_unverified_context() if tls else None  # noqa: S323 - own certificate
    crowd = _Crowd(host, port, context, seen, done)
    thread = threading.Thread(target=lambda: asyncio.run(crowd.run()))
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join(_PATIENCE + 10)


class _Crowd:
    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        seen: Seen,
        done: threading.Event,
    ) -> None:
        self._where = (host, port)
        self._context = context
        self._seen = seen
        self._done = done

    async def run(self) -> None:
        await asyncio.gather(
            *(
                self._visit(method, kept=kept, pause=pause)
                for method in ("GET", "POST")
                for kept in (True, False)
                for pause in (0.02, 0.2)
            ),
            self._socket(),
        )

    async def _visit(self, method: str, *, kept: bool, pause: float) -> None:
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        while not self._done.is_set():
            began = time.monotonic()
            try:
                if reader is None or writer is None:
                    reader, writer = await self._open()
                ask = _ask(reader, writer, method, kept=kept)
                status, retry, closed = await asyncio.wait_for(ask, _PATIENCE)
                ended = time.monotonic()
                self._seen.answers.append(Answer(began, ended, method, status, retry))
                if closed or not kept:
                    writer.close()
                    reader = writer = None
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self._seen.errors.append(f"{method} {'kept' if kept else 'fresh'}: {error!r}")
                reader = writer = None
            await asyncio.sleep(pause)

    async def _socket(self) -> None:
        while not self._done.is_set():
            try:
                reader, writer = await self._open()
                status = await _upgrade(reader, writer)
                self._seen.sockets[str(status)] += 1
                while status == 101 and not self._done.is_set():
                    try:
                        if not await asyncio.wait_for(reader.read(1000), 0.5):
                            self._seen.sockets["closed"] += 1
                            break
                    except TimeoutError:
                        continue
                writer.close()
            except (OSError, asyncio.IncompleteReadError) as error:
                # That a websocket ends when its node is taken away is what was asked for.
                self._seen.sockets[type(error).__name__] += 1
            await asyncio.sleep(0.3)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        opening = asyncio.open_connection(*self._where, ssl=self._context)
        return await asyncio.wait_for(opening, _PATIENCE)


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, *, kept: bool
) -> tuple[int, bool, bool]:
    """Status, whether with Retry-After, whether the server closes."""
    path = "/api/__health_check" if method == "GET" else "/api/nothing"
    body = b"x" * 100 if method == "POST" else b""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: app\r\nContent-Length: {len(body)}\r\n"
        f"Connection: {'keep-alive' if kept else 'close'}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    text = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    lines = dict(line.split(": ", 1) for line in text.splitlines()[1:] if ": " in line)
    await reader.readexactly(int(lines.get("content-length", "0")))
    return int(text.split()[1]), "retry-after" in lines, lines.get("connection") == "close"


async def _upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    return int((await reader.readuntil(b"\r\n\r\n")).split()[1])
