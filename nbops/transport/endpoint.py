"""Where a host is and how it is reached: what a session needs to know before it connects."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nbops.base.secret import Secret


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One host as the transport sees it.

    `name` is the inventory's name, used in messages. Values that are None are taken from
    ssh_config, then from OpenSSH's defaults. `jumps` are the hops before it, the nearest
    first, each with its own host-key check. `known_hosts` replaces the user's and the
    system's files when it is not empty. `keepalive` and `connect_timeout` are in seconds.
    """

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    key_files: tuple[Path, ...] = ()
    password: Secret | None = field(default=None, repr=False)
    jumps: tuple[Endpoint, ...] = ()
    known_hosts: tuple[Path, ...] = ()
    host_keys: Literal["strict", "accept-new"] = "strict"
    ssh_config: Path | None = None
    keepalive: float = 15.0
    connect_timeout: float = 15.0
    connection: Literal["ssh", "local"] = "ssh"
