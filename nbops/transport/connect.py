"""From an endpoint to an open SSH link: configuration, host keys, login. fabric and paramiko.

Host keys are checked at every hop before any credential is offered. What is told of a failure
names the hop, the cause and the next step.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

import paramiko
from fabric import Config, Connection
from paramiko.auth_strategy import AuthFailure

from nbops.base.errors import HostFault, HostUnusable
from nbops.transport import hostkeys
from nbops.transport.credentials import Credentials
from nbops.transport.hostkeys import KnownHosts, Verdict, fingerprint, host_name
from nbops.transport.sshconfig import Hop
from nbops.transport.sshlink import SILENCES, Packets, SshLink, keep_alive

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


def _transport(hop: Hop, kinds: tuple[str, ...]) -> Callable[..., paramiko.Transport]:
    """What makes the transport of a hop: no delay, a name, known kinds of key first."""

    def make(sock: Any, disabled_algorithms: Any = None) -> paramiko.Transport:
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                limit = int(hop.keepalive * SILENCES * 1000)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
        transport = paramiko.Transport(
            sock, disabled_algorithms=disabled_algorithms, packetizer_class=Packets
        )
        transport.name = f"ssh {hop.label}"
        transport.handshake_timeout = hop.connect_timeout
        options = transport.get_security_options()
        wanted = [kind for name in kinds for kind in _signatures(name)]
        options.key_types = [k for k in wanted if k in options.key_types] + [
            k for k in options.key_types if k not in wanted
        ]
        return transport

    return make


def _signatures(kind: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)


class _Connection(Connection):  # type: ignore[misc]
    """A connection that only reads the configuration that it shares with all others.

    fabric keeps this attribute in the configuration, which is empty for a moment at each write:
    links that are opened at the same time would find no settings there.
    """

    inline_ssh_env = False


class Dialer:
    """Opens links. What all links of a run share is read once: configurations, keys."""

    def __init__(self, accepted: Callable[[str], None]) -> None:
        # What paramiko logs is told by the errors as well; without a handler it goes to stderr.
        log = logging.getLogger("paramiko")
        if not log.handlers:
            log.addHandler(logging.NullHandler())
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
        connection = _Connection(
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
        keep_alive(connection.transport, hop.keepalive)
        return connection


def explain(host: str, hop: Hop, error: BaseException) -> HostUnusable | None:
    """What a failure to open a hop means for its host; None when it is no such failure."""
    where = host if hop.label == host else f"{host} (over {hop.label})"
    target = f"{hop.user}@{hop.address} port {hop.port}"
    if isinstance(error, HostKeyRefused):
        return HostUnusable(
            f"{where}: {error.message}", host=host, fault=HostFault.WRONG_HOST_KEY, hint=error.hint
        )
    if isinstance(error, AuthFailure) and _refused(error):
        tried = ", ".join(str(item.source) for item in error.result) or "nothing"
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


def _refused(failure: AuthFailure) -> bool:
    """Whether the server said no, or the connection broke while it was asked.

    paramiko gives both as the same exception, told apart by its text alone.
    """
    answers = [item.result for item in failure.result]
    return not answers or any("saw EOF" not in str(answer) for answer in answers)


def _cause(error: BaseException) -> str:
    if isinstance(error, AuthFailure):
        return "the connection was closed during the login"
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
