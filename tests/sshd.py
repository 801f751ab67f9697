"""Real sshd processes on loopback addresses, for tests: no root needed, nothing left behind.

    with SshServer(folder, addresses=loopback(3)) as server:
        pool.session(server.endpoint(0))

One `SshServer` listens on some addresses 127.1.x.y (every one a "host") at one port, with one
host key and one user key. `kill_connections`, `stop` and `start`
provoke the faults of a network; `DelayProxy` the rest.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from nbops.transport.endpoint import Endpoint

_START_DEADLINE = 15.0
_LISTENERS = 16  # an sshd listens on so many addresses at most; for more there are more of them
SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def loopback(count: int, net: int = 1) -> tuple[str, ...]:
    """So many addresses of 127.`net`.0.0/16. All of them are this machine, on Linux."""
    return tuple(f"127.{net}.{number // 250}.{number % 250 + 1}" for number in range(count))


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def make_key(file: Path, kind: str = "ed25519") -> Path:
    """A new key pair without passphrase; gives the private file."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "nbops test", "-f", str(file)], check=True
    )
    return file


class SshServer:
    """sshd on one or many loopback addresses. Everything it needs is in `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        addresses: Sequence[str] = ("127.0.0.1",),
        port: int | None = None,
        key_kind: str = "ed25519",
        options: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.addresses = tuple(addresses)
        self.port = port or free_port(self.addresses[0])
        self.user = getpass.getuser()
        self._options = tuple(options)
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.host_key = make_key(folder / f"host_{key_kind}", key_kind)
        self.user_key = make_key(folder / "user_key")
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(self.known_hosts_text())
        (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
        (folder / "authorized_keys").chmod(0o600)

    def __enter__(self) -> SshServer:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def known_hosts_text(self, addresses: Sequence[str] | None = None) -> str:
        """The lines that a known_hosts file needs for these addresses (all, if not told)."""
        kind, key = self.host_key.with_suffix(".pub").read_text().split()[:2]
        names = [f"[{name}]:{self.port}" for name in addresses or self.addresses]
        return "".join(f"{name} {kind} {key}\n" for name in names)

    def new_host_key(self, kind: str = "ed25519") -> None:
        """Give the server another host key; it is shown after the next start."""
        for file in self.folder.glob("host_*"):
            file.unlink()
        self.host_key = make_key(self.folder / f"host_{kind}", kind)

    def endpoint(self, number: int = 0, name: str = "", **settings: object) -> Endpoint:
        """An endpoint for one of the addresses, with the right keys unless told otherwise."""
        defaults: dict[str, object] = {
            "address": self.addresses[number],
            "port": self.port,
            "user": self.user,
            "key_files": (self.user_key,),
            "known_hosts": (self.known_hosts,),
            "ssh_config": self._empty_config(),
        }
        return Endpoint(name=name or f"host{number + 1}", **(defaults | settings))  # type: ignore[arg-type]

    def start(self) -> None:
        """Start sshd and wait until it answers on every address."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for start in range(0, len(self.addresses), _LISTENERS):
            config = self.folder / f"sshd_config{start or ''}"
            config.write_text(self._config(self.addresses[start : start + _LISTENERS]))
            with (self.folder / "sshd.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [SSHD, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=log
                    )
                )
        end = time.monotonic() + _START_DEADLINE
        for address in self.addresses:
            while not _answers(address, self.port):
                ended = any(process.poll() is not None for process in self._processes)
                if ended or time.monotonic() > end:
                    self.stop()
                    raise RuntimeError(f"sshd does not start: {self.log()[-2000:]}")
                time.sleep(0.02)

    def stop(self) -> None:
        """End sshd and its connections. What they started goes on, as on a real host."""
        connections = self.connections()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        _kill(connections)
        self._processes.clear()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def connections(self) -> list[int]:
        """The process ids of the sshd processes that serve a connection now."""
        families = _children()
        return [pid for one in self._processes for pid in _below(one.pid, families)]

    def kill_connections(self) -> int:
        """Kill the sshd processes of all connections, and nothing else; gives their number."""
        return _kill(self.connections())

    def signal_connections(self, number: signal.Signals) -> None:
        """Send a signal to the processes of all connections (SIGSTOP: a host that hangs)."""
        for pid in self.connections():
            os.kill(pid, number)

    def log(self) -> str:
        """What sshd wrote."""
        file = self.folder / "sshd.log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def _config(self, addresses: Sequence[str]) -> str:
        listen = "".join(f"ListenAddress {address}\n" for address in addresses)
        options = "".join(f"{option}\n" for option in self._options)
        return (
            f"{options}Port {self.port}\n{listen}HostKey {self.host_key}\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nPidFile none\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
            "KbdInteractiveAuthentication no\nUseDNS no\nPrintMotd no\nLogLevel INFO\n"
            "MaxStartups 2000:30:4000\nSubsystem sftp internal-sftp\n"
            # A bash at this level reads no ~/.bashrc: the developer's own may do anything.
            "SetEnv SHLVL=2\n"
        )

    def _empty_config(self) -> Path:
        """An ssh_config that says nothing, so that the developer's own is not read."""
        file = self.folder / "ssh_config"
        file.touch()
        return file


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _kill(pids: Sequence[int]) -> int:
    killed = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            killed += 1
        except ProcessLookupError:
            continue
    return killed


def _below(parent: int, families: dict[int, list[int]]) -> list[int]:
    """The sshd processes below this one: the shells that they started are not among them."""
    found = []
    todo = list(families.get(parent, ()))
    while todo:
        pid = todo.pop()
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
        if name.startswith("sshd"):
            found.append(pid)
            todo += families.get(pid, ())
    return found


def _children() -> dict[int, list[int]]:
    families: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        families.setdefault(int(words[1]), []).append(int(stat.parent.name))
    return families
