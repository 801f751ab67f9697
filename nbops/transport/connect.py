"""From an endpoint to an open SSH link: configuration, host keys, login. fabric and paramiko.

Host keys are checked at every hop before any credential is offered. What is told of a failure
names the hop, the cause and the next step.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from fabric import Config, Connection
from paramiko.auth_strategy import AuthFailure

from nbops.base.errors import ActionFailed, HostFault, HostUnusable
from nbops.transport import hostkeys
from nbops.transport.credentials import Credentials
from nbops.transport.hostkeys import KnownHosts, Verdict, fingerprint, host_name
from nbops.transport.sshconfig import Hop
from nbops.transport.stream import TICK, Chunk, WireBroken

_PIECE = 1 << 18
_SILENCES = 3  # keepalives without any answer until a link is given up
_CHANNEL_TIMEOUT = 30.0

# What paramiko still offers for old servers and nobody should use: SHA-1 and CBC and MD5.
WEAK = {
    "kex": [
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group-exchange-sha1",
    ],
    "keys": ["ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com"],
    "pubkeys": ["ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com"],
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-sha1", "hmac-sha1-96", "hmac-md5", "hmac-md5-96"],
}


class HostKeyRefused(paramiko.SSHException):
    """The key that a hop showed is not the one it must have."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class StrictPolicy(paramiko.MissingHostKeyPolicy):
    """Asked by paramiko before it logs in: refuses every key that is not known to be right.

    The client's own lists stay empty, so every key comes here.
    """

    def __init__(self, hop: Hop, known: KnownHosts, accepted: Callable[[str], None]) -> None:
        self._hop = hop
        self._known = known
        self._accepted = accepted

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002
        hostname: str,  # noqa: ARG002
        key: paramiko.PKey,
    ) -> None:
        """Judge the key. Raises HostKeyRefused."""
        hop = self._hop
        kind, blob = key.get_name(), key.asbytes()
        judged = self._known.judge(hop.address, hop.port, kind, blob)
        shown = f"{kind} {fingerprint(blob)}"
        if judged.verdict is Verdict.KNOWN:
            return
        if judged.verdict is Verdict.UNKNOWN and hop.accept_new:
            file = hop.known_hosts[0]
            hostkeys.add(file, hop.address, hop.port, kind, blob)
            self._accepted(f"host key of {hop.label} written to {file}: {shown}")
            return
        raise _refusal(hop, judged, shown)


def _refusal(hop: Hop, judged: hostkeys.Judgement, shown: str) -> HostKeyRefused:
    name, file = host_name(hop.address, hop.port), hop.known_hosts[0]
    scan = f"ssh-keyscan -p {hop.port} {hop.address} >> {file}"
    look = (
        f"compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_…_key.pub` on {hop.label}"
    )
    places = ", ".join(f"{entry.file}:{entry.line}" for entry in judged.entries)
    match judged.verdict:
        case Verdict.REVOKED:
            return HostKeyRefused(
                f"{hop.label} shows a host key that is marked as revoked ({places}): {shown}",
                f"do not connect: give {hop.label} a new host key first",
            )
        case Verdict.CHANGED:
            old = ", ".join(f"{e.kind} {fingerprint(e.key)}" for e in judged.entries)
            return HostKeyRefused(
                f"the host key of {hop.label} has CHANGED: it shows {shown}, "
                f"known is {old} ({places})",
                f"someone may be in between. Only when you know why it changed: {look}, then "
                f"`ssh-keygen -R '{name}' -f {judged.entries[0].file}` and `{scan}`",
            )
        case _:
            only = " (known by a certificate authority only, which nbops does not support)"
            return HostKeyRefused(
                f"the host key of {hop.label} is not known"
                f"{only if judged.entries else ''}: {shown}",
                f"{look}, then `{scan}`; or set `host_keys: accept-new` under `nocobase.ssh`",
            )


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
        if silent > self._interval * _SILENCES:
            self.close()
        elif silent > self._interval and not self._sending and not self.need_rekey():
            self._ping()


def _transport(hop: Hop, kinds: tuple[str, ...]) -> Callable[..., paramiko.Transport]:
    """What makes the transport of a hop: no delay, a name, known kinds of key first."""

    def make(sock: Any, disabled_algorithms: Any = None) -> paramiko.Transport:
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                limit = int(hop.keepalive * _SILENCES * 1000)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
        transport = paramiko.Transport(
            sock, disabled_algorithms=disabled_algorithms, packetizer_class=Packets
        )
        transport.name = f"ssh {hop.label}"
        options = transport.get_security_options()
        wanted = [kind for name in kinds for kind in _signatures(name)]
        options.key_types = [k for k in wanted if k in options.key_types] + [
            k for k in options.key_types if k not in wanted
        ]
        return transport

    return make


def _signatures(kind: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)


def _keep_alive(transport: paramiko.Transport, interval: float) -> None:
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

    def __post_init__(self) -> None:
        self._files = threading.Lock()

    @property
    def alive(self) -> bool:
        """See `Link`."""
        return bool(self.connection.is_connected)

    def open(self, command: str) -> SshWire:
        """See `Link`."""
        try:
            channel = self.connection.transport.open_session(timeout=_CHANNEL_TIMEOUT)
            channel.exec_command(command)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise WireBroken(f"{self.label}: no channel could be opened: {error}") from error
        return SshWire(channel)

    def put(self, source: Path | bytes, target: str, wait: Callable[[], None]) -> None:
        """See `Link`. One SFTP session is kept open for all files."""
        try:
            with self._files:
                sftp = self.connection.sftp()
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

    def close(self) -> None:
        """See `Link`."""
        hop: Any = self.connection
        while hop is not None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                hop.close()
            hop = hop.gateway if isinstance(hop.gateway, Connection) else None


def _pieces(source: Path | bytes) -> Any:
    if isinstance(source, bytes):
        for start in range(0, len(source), _PIECE):
            yield source[start : start + _PIECE]
        return
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


class Dialer:
    """Opens links. What all links of a run share is read once: configurations, keys."""

    def __init__(self, accepted: Callable[[str], None]) -> None:
        self._accepted = accepted
        self._config = Config(ssh_config=paramiko.SSHConfig(), lazy=True)
        self._credentials = Credentials()

    def connect(self, host: str, hops: tuple[Hop, ...]) -> SshLink:
        """A link over these hops, the last one being the host. Raises HostUnusable."""
        opened: list[Any] = []
        try:
            for hop in hops:
                opened.append(self._open(host, hop, opened[-1] if opened else None))
        except BaseException:
            for connection in reversed(opened):
                connection.close()
            raise
        return SshLink(opened[-1], host)

    def _open(self, host: str, hop: Hop, gateway: Any) -> Any:
        known = KnownHosts.load(hop.known_hosts)
        connection = Connection(
            hop.address,
            user=hop.user,
            port=hop.port,
            config=self._config,
            gateway=gateway if gateway is not None else hop.proxy_command or False,
            forward_agent=False,
            connect_timeout=max(1, round(hop.connect_timeout)),
            connect_kwargs={
                "transport_factory": _transport(hop, known.kinds(hop.address, hop.port)),
                "disabled_algorithms": WEAK,
                "banner_timeout": hop.connect_timeout,
                "auth_timeout": hop.connect_timeout,
                "channel_timeout": hop.connect_timeout,
                "auth_strategy": self._credentials.strategy(hop),
            },
        )
        connection.client.set_missing_host_key_policy(StrictPolicy(hop, known, self._accepted))
        try:
            connection.open()
        except BaseException as error:
            connection.client.close()
            trouble = explain(host, hop, error)
            if trouble is None:
                raise
            raise trouble from error
        _keep_alive(connection.transport, hop.keepalive)
        return connection


def explain(host: str, hop: Hop, error: BaseException) -> HostUnusable | None:
    """What a failure to open a hop means for its host; None when it is no such failure."""
    where = host if hop.label == host else f"{host} (over {hop.label})"
    target = f"{hop.user}@{hop.address} port {hop.port}"
    if isinstance(error, HostKeyRefused):
        return HostUnusable(
            f"{where}: {error.message}", host=host, fault=HostFault.WRONG_HOST_KEY, hint=error.hint
        )
    if isinstance(error, AuthFailure | paramiko.AuthenticationException):
        tried = ", ".join(str(item.source) for item in getattr(error, "result", [])) or "nothing"
        return HostUnusable(
            f"{where}: {target} refused the login; tried: {tried}",
            host=host,
            fault=HostFault.WRONG_KEY,
            hint=f"try `ssh -p {hop.port} {hop.user}@{hop.address}`; set `ansible_user` and "
            "`ansible_ssh_private_key_file`, or load the key with `ssh-add`",
        )
    if isinstance(error, OSError | EOFError | paramiko.SSHException):
        return HostUnusable(
            f"{where}: {target} cannot be reached: {_cause(error)}",
            host=host,
            fault=HostFault.UNREACHABLE,
            hint=f"try `ssh -p {hop.port} {hop.user}@{hop.address}`; look at address, port, "
            "firewall, and whether sshd runs there",
        )
    return None


def _cause(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved ({error.strerror})"
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
        causes = {str(getattr(inner, "strerror", inner)).lower() for inner in error.errors.values()}
        return ", ".join(sorted(causes))
    if isinstance(error, EOFError):
        return "the other side closed the connection during the handshake"
    return str(error) or type(error).__name__
