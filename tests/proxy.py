"""A small TCP proxy on loopback that provokes the faults of a network: delay, silence, cuts."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType


class Proxy:
    """Passes connections on to `target`, until it is told otherwise.

    `delay` is added to every piece in each direction, in seconds. `hole` swallows everything
    and keeps the connections open (a black hole); `cut` resets them all.
    """

    def __init__(self, target: tuple[str, int], *, delay: float = 0.0) -> None:
        self.delay = delay
        self.accepted = 0
        self._target = target
        self._silent = threading.Event()
        self._ended = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self.address, self.port = self._listener.getsockname()
        self._acceptor = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.cut()
        self._acceptor.join(5)
        self._listener.close()

    def hole(self, on: bool = True) -> None:
        """Swallow everything, on connections of now and later; or pass new bytes on again."""
        (self._silent.set if on else self._silent.clear)()

    def cut(self) -> None:
        """Reset all connections."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    end.shutdown(socket.SHUT_RDWR)
                    end.close()
        self._pairs.clear()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.accepted += 1
            far = socket.create_connection(self._target)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(1 << 16):
                if self.delay:
                    time.sleep(self.delay)
                if not self._silent.is_set():
                    sink.sendall(piece)
        except OSError:
            pass
        with contextlib.suppress(OSError):
            if not self._silent.is_set():
                sink.shutdown(socket.SHUT_WR)
