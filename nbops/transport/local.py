"""This machine as a host: the same streams and jobs, with a process in place of a channel."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Callable
from pathlib import Path

from nbops.base.errors import ActionFailed
from nbops.transport.stream import TICK, Chunk, WireBroken

_PIECE = 1 << 16


class LocalWire:
    """A child process with its three pipes."""

    def __init__(self, command: str) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path.home(),
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr  # noqa: S101
        self._in = self._process.stdin.fileno()
        self._outputs = (self._process.stdout.fileno(), self._process.stderr.fileno())
        self._writer = selectors.DefaultSelector()
        self._reader = selectors.DefaultSelector()
        os.set_blocking(self._in, False)
        self._writer.register(self._in, selectors.EVENT_WRITE)
        for output in self._outputs:
            os.set_blocking(output, False)
            self._reader.register(output, selectors.EVENT_READ)

    def send(self, data: bytes, wait: Callable[[], None]) -> None:
        """See `Wire`."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._in, left) :]
            except BlockingIOError:
                if not self._writer.select(TICK):
                    wait()
            except OSError as error:
                raise WireBroken(f"the shell is gone ({error.strerror})") from error

    def receive(self, timeout: float) -> Chunk:
        """See `Wire`."""
        ready = {key.fd for key, _ in self._reader.select(timeout)}
        if not ready:
            return b"", b""
        pieces = []
        for output in self._outputs:
            piece = os.read(output, _PIECE) if output in ready else b""
            if output in ready and not piece:
                self._reader.unregister(output)
            pieces.append(piece)
        if not any(pieces) and not self._reader.get_map():
            raise WireBroken("the shell ended")
        return pieces[0], pieces[1]

    def close(self) -> None:
        """See `Wire`."""
        self._reader.close()
        self._writer.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        # A shell whose input ended leaves by itself, unless a job keeps it waiting: that one
        # is left to init when this process ends.
        self._process.poll()


class LocalLink:
    """This machine."""

    alive = True
    streams = 64

    def open(self, command: str) -> LocalWire:
        """See `Link`."""
        try:
            return LocalWire(command)
        except OSError as error:
            raise WireBroken(f"no shell can be started: {error}") from error

    def put(self, source: Path | bytes, target: str, wait: Callable[[], None]) -> None:
        """See `Link`."""
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as to:
                if isinstance(source, bytes):
                    to.write(source)
                    return
                with source.open("rb") as file:
                    while piece := file.read(_PIECE):
                        wait()
                        to.write(piece)
        except OSError as error:
            raise ActionFailed(f"{target} cannot be written: {error}") from error

    def close(self) -> None:
        """See `Link`."""
