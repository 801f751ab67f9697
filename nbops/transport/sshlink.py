"""An open SSH connection as a `Link`: its channels, its SFTP session, its signs of life."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from fabric import Connection

from nbops.base.errors import ActionFailed
from nbops.transport.stream import TICK, Chunk, WireBroken

_PIECE = 1 << 18
SILENCES = 3  # keepalives without any answer until a link is given up
_CHANNEL_TIMEOUT = 30.0
_STREAMS = 8  # sshd allows ten channels (MaxSessions): one is SFTP's, one is for kill


class Packets(paramiko.packet.Packetizer):
    """Notices a link on which nothing is heard any more, and ends it.

    paramiko asks `_check_keepalive` each time that it waited for a packet in vain.
    """

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._sock = sock
        self._heard = time.monotonic()
        self._sending = 0
        self._interval = 0.0
        self._ping: Callable[[], None] | None = None

    def watch(self, interval: float, ping: Callable[[], None]) -> None:
        """From now on `ping` the other side after `interval` seconds of silence."""
        self._heard = time.monotonic()
        self._interval = interval
        self._ping = ping

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read, and note the time."""
        data: bytes = super().read_all(n, check_rekey)
        self._heard = time.monotonic()
        return data

    def write_all(self, out: Any) -> None:
        """Write, and note that somebody is at it: a ping would have to wait for them."""
        self._sending += 1
        try:
            super().write_all(out)
        finally:
            self._sending -= 1

    def close(self) -> None:
        """Close, and wake the thread that waits for the next packet."""
        with contextlib.suppress(OSError):
            if isinstance(self._sock, socket.socket):
                self._sock.shutdown(socket.SHUT_RDWR)
        super().close()

    def _check_keepalive(self) -> None:
        if self._ping is None:
            return
        silent = time.monotonic() - self._heard
        if silent > self._interval * SILENCES:
            self.close()
        elif silent > self._interval and not self._sending and not self.need_rekey():
            self._ping()


def keep_alive(transport: paramiko.Transport, interval: float) -> None:
    """Ask for an answer after each interval of silence; raise the idle tick from 0.1 s."""
    packets = transport.packetizer
    assert isinstance(packets, Packets)  # noqa: S101 (made above)

    def ping() -> None:
        message = paramiko.Message()
        message.add_byte(paramiko.common.cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        transport._send_user_message(message)  # type: ignore[attr-defined]

    packets.watch(interval, ping)
    transport.sock.settimeout(max(0.1, interval / 3))


class Bell(threading.Event):
    """What paramiko's buffers ring when something came; both outputs ring the same one."""

    def clear(self) -> None:
        """One buffer is empty; the other may not be, so this says nothing."""

    def listen(self, timeout: float) -> None:
        """Wait until something comes."""
        self.wait(timeout)
        super().clear()


class SshWire:
    """A channel with a program at its other end."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._bell = Bell()
        channel.settimeout(TICK)
        channel.in_buffer.set_event(self._bell)
        channel.in_stderr_buffer.set_event(self._bell)

    def send(self, data: bytes, wait: Callable[[], None]) -> None:
        """See `Wire`."""
        left = memoryview(data)
        while left:
            try:
                sent = self._channel.send(bytes(left[:_PIECE]))
            except TimeoutError:
                wait()
                continue
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise WireBroken(f"the channel is closed: {error}") from error
            if sent == 0:
                raise WireBroken("the channel is closed")
            left = left[sent:]

    def receive(self, timeout: float) -> Chunk:
        """See `Wire`."""
        chunk = self._take()
        if any(chunk) or timeout <= 0:
            return chunk
        if not self._open():
            return self._last()
        self._bell.listen(timeout)
        chunk = self._take()
        if any(chunk) or self._open():
            return chunk
        return self._last()

    def close(self) -> None:
        """See `Wire`."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()

    def _open(self) -> bool:
        return not (self._channel.closed or self._channel.eof_received)

    def _last(self) -> Chunk:
        chunk = self._take()
        if not any(chunk):
            raise WireBroken("the connection or its shell ended")
        return chunk

    def _take(self) -> Chunk:
        channel = self._channel
        try:
            out = channel.recv(_PIECE) if channel.recv_ready() else b""
            err = channel.recv_stderr(_PIECE) if channel.recv_stderr_ready() else b""
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise WireBroken(f"the channel is closed: {error}") from error
        return out, err


@dataclass
class SshLink:
    """An open, authenticated connection to a host, over its jump hosts."""

    connection: Any
    label: str
    streams: int = _STREAMS

    def __post_init__(self) -> None:
        self._files = threading.Lock()

    @property
    def alive(self) -> bool:
        """See `Link`."""
        return bool(self.connection.is_connected)

    def open(self, command: str) -> SshWire:
        """See `Link`."""
        try:
            _acknowledge_at_once(self.connection.transport.sock)
            channel = self.connection.transport.open_session(timeout=_CHANNEL_TIMEOUT)
            channel.exec_command(command)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise WireBroken(f"{self.label}: no channel could be opened: {error}") from error
        return SshWire(channel)

    def put(self, source: Path | bytes, target: str, wait: Callable[[], None]) -> None:
        """See `Link`. One SFTP session is kept open for all files."""
        try:
            with self._files:
                sftp = self._sftp()
                with sftp.open(target, "wxb") as to:
                    to.set_pipelined(True)
                    sftp.chmod(target, 0o600)
                    for piece in _pieces(source):
                        wait()
                        to.write(piece)
        except (EOFError, paramiko.SSHException, ConnectionError) as error:
            raise WireBroken(f"{self.label}: the transfer broke: {error}") from error
        except OSError as error:
            raise ActionFailed(f"{target} cannot be written: {error}") from error

    def _sftp(self) -> paramiko.SFTPClient:
        try:
            client: paramiko.SFTPClient = self.connection.sftp()
        except (EOFError, paramiko.SSHException) as error:
            if not self.alive:
                raise
            raise ActionFailed(
                f"{self.label} offers no SFTP: {error}",
                hint="let sshd_config there say `Subsystem sftp internal-sftp`",
            ) from error
        return client

    def close(self) -> None:
        """See `Link`."""
        hop: Any = self.connection
        while hop is not None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                hop.close()
            hop = hop.gateway if isinstance(hop.gateway, Connection) else None


def _acknowledge_at_once(sock: Any) -> None:
    """Spare a new connection 40 ms: until a session is open, sshd sends with Nagle's delay, and
    waits for an acknowledgement that this side would hold back."""
    if isinstance(sock, socket.socket) and hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _pieces(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        for start in range(0, len(source), _PIECE):
            yield source[start : start + _PIECE]
        return
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
