"""What ssh_config says of an endpoint: from names to hops with everything filled in."""

from __future__ import annotations

import functools
import getpass
import glob
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbops.base.errors import UsageError
from nbops.base.secret import Secret
from nbops.transport.endpoint import Endpoint
from nbops.transport.hostkeys import DEFAULT_PORT, SYSTEM_FILES, USER_FILES

DEFAULT_CONFIGS = (Path("~/.ssh/config"), Path("/etc/ssh/ssh_config"))
_DEEPEST_INCLUDE = 16
_UNKNOWN = {
    "hostkeyalias": "name the host in known_hosts by its address",
}


@dataclass(frozen=True, slots=True)
class Hop:
    """One machine on the way, with nothing left open. `known_hosts` is never empty."""

    label: str
    address: str
    port: int
    user: str
    key_files: tuple[Path, ...]
    known_hosts: tuple[Path, ...]
    accept_new: bool = False
    identities_only: bool = False
    password: Secret | None = field(default=None, repr=False)
    proxy_command: str | None = None
    keepalive: float = 15.0
    connect_timeout: float = 15.0


def hops_of(endpoint: Endpoint) -> tuple[Hop, ...]:
    """The way to an endpoint, the host itself last. Jumps of its own go before ssh_config's.

    Raises UsageError for an option that would change the connection and is not supported,
    naming it, and for a ssh_config that cannot be read.
    """
    return _way(endpoint, ())


def _way(endpoint: Endpoint, before: tuple[str, ...]) -> tuple[Hop, ...]:
    found = _lookup(endpoint)
    jumps = endpoint.jumps
    if not jumps and "proxyjump" in found and found["proxyjump"].lower() != "none":
        if endpoint.address in before:
            raise UsageError(f"{endpoint.name}: ProxyJump in ssh_config goes round in a circle")
        jumps = tuple(_jump(word, endpoint) for word in found["proxyjump"].split(","))
    hops: tuple[Hop, ...] = ()
    for number, jump in enumerate(jumps):
        way = _way(jump, (*before, endpoint.address))
        hops += way if number == 0 else way[-1:]
    hop = _hop(endpoint, found)
    if hops:
        hop = replace(hop, proxy_command=None)
    return (*hops, hop)


def _hop(endpoint: Endpoint, found: dict[str, Any]) -> Hop:
    user_files = _paths(found.get("userknownhostsfile")) or USER_FILES
    system_files = _paths(found.get("globalknownhostsfile")) or SYSTEM_FILES
    proxy = found.get("proxycommand")
    return Hop(
        label=endpoint.name,
        address=found.get("hostname", endpoint.address),
        port=endpoint.port or int(found.get("port", DEFAULT_PORT)),
        user=endpoint.user or found.get("user") or getpass.getuser(),
        key_files=endpoint.key_files or tuple(Path(key) for key in found.get("identityfile", [])),
        known_hosts=endpoint.known_hosts or (*user_files, *system_files),
        accept_new=endpoint.host_keys == "accept-new",
        identities_only=found.get("identitiesonly", "no").lower() == "yes",
        password=endpoint.password,
        proxy_command=None if proxy in (None, "none") else proxy,
        keepalive=endpoint.keepalive,
        connect_timeout=endpoint.connect_timeout,
    )


def _jump(word: str, of: Endpoint) -> Endpoint:
    """A hop as ProxyJump names it: `[user@]host[:port]` or `ssh://…`."""
    text = word.strip().removeprefix("ssh://")
    user, _, rest = text.rpartition("@")
    if rest.startswith("["):
        address, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") == 1:
        address, _, port = rest.partition(":")
    else:
        address, port = rest, ""
    return Endpoint(
        name=address,
        address=address,
        port=int(port) if port else None,
        user=user or None,
        known_hosts=of.known_hosts,
        host_keys=of.host_keys,
        ssh_config=of.ssh_config,
        keepalive=of.keepalive,
        connect_timeout=of.connect_timeout,
    )


def _lookup(endpoint: Endpoint) -> dict[str, Any]:
    files = (endpoint.ssh_config,) if endpoint.ssh_config else DEFAULT_CONFIGS
    found: dict[str, Any] = {}
    for file in files:
        path = file.expanduser()
        if path.is_file():
            for key, value in (
                _config(path, path.stat().st_mtime_ns).lookup(endpoint.address).items()
            ):
                if key == "identityfile" and key in found:
                    found[key] = [*found[key], *value]
                elif key != "hostname" or value != endpoint.address:
                    found.setdefault(key, value)
        elif endpoint.ssh_config:
            raise UsageError(f"{endpoint.name}: {file} is not there")
    for option, way in _UNKNOWN.items():
        if option in found:
            raise UsageError(f"{endpoint.name}: ssh_config's `{option}` is not supported", hint=way)
    return found


@functools.lru_cache(maxsize=8)
def _config(path: Path, changed: int) -> Any:  # noqa: ARG001
    """A file's configuration; read again when it changed (time in ns)."""
    import paramiko

    try:
        return paramiko.SSHConfig.from_text(with_includes(path))
    except (OSError, UnicodeDecodeError, paramiko.ConfigParseError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def with_includes(path: Path, depth: int = 0) -> str:
    """The text of a configuration with the files that it includes in their places, as `ssh`
    reads it: paramiko knows no `Include`.

    What follows an include belongs to the same `Host` or `Match` as before it. Raises OSError
    and UnicodeDecodeError for a file that cannot be read, UsageError for a circle.
    """
    if depth > _DEEPEST_INCLUDE:
        raise UsageError(f"{path}: ssh_config files include each other in a circle")
    block = "Host *"
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if word.lower() in {"host", "match"}:
            block = line
        if word.lower() != "include":
            lines.append(line)
            continue
        for pattern in shlex.split(rest):
            absolute = str(path.parent / Path(pattern).expanduser())
            for name in sorted(glob.glob(absolute)):  # noqa: PTH207 - the pattern is absolute
                if Path(name).exists():  # a link to nowhere is passed over, as ssh does
                    lines += [with_includes(Path(name), depth + 1), block]
    return "\n".join(lines)


def _paths(value: str | None) -> tuple[Path, ...]:
    return tuple(Path(word) for word in shlex.split(value)) if value else ()
