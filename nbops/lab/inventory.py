"""The inventory that a lab writes: an ordinary one, as for any cluster."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import yaml

from nbops.lab.images.adapters import ADAPTER_PLUGINS
from nbops.lab.layout import (
    REDIS_HOSTS,
    REGISTRY_PORT,
    App,
    Machine,
    Redis,
    Role,
    Runtime,
    Shape,
)
from nbops.lab.machine import STORAGE
from nbops.lab.state import Folders, Record, write_file

REPOSITORIES = {App.NOCOBASE: "nocobase/nocobase", App.SAMPLE: "nocobase/sample"}
_ACCOUNT = "admin@nocobase.com"


def render(record: Record, folders: Folders) -> str:
    """The text of the inventory. Pure: it names secret files and holds no secret."""
    groups: dict[str, Any] = {}
    for machine in record.machines:
        if machine.role is not Role.REGISTRY:
            hosts = groups.setdefault(machine.role.value, {"hosts": {}})["hosts"]
            hosts[machine.host] = {"ansible_host": machine.address}
    if record.shape.runtime is Runtime.MIXED:
        for host in list(groups["app"]["hosts"].values())[1::2]:
            host["nocobase"] = {"runtime": _pm2(folders)}
    connection = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folders.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={folders.known_hosts}"
        " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
    }
    settings = _settings(record, folders)
    inventory = {"all": {"vars": connection | {"nocobase": settings}, "children": groups}}
    head = (
        f"# The lab {record.name!r}: {record.shape}.\n"
        f"# `nbops lab ssh --name {record.name} HOST` opens a shell on a machine;\n"
        f"# `nbops lab down --name {record.name}` removes all of it.\n"
        "# Beside root, the same key opens `ops` (sudo without a password), `duty` (sudo with\n"
        "# the one in secrets/sudo_password) and `guest` (no sudo); every machine can be a jump\n"
        "# host.\n"
    )
    return head + yaml.safe_dump(inventory, sort_keys=False, width=1000)


def holds(record: Record, folders: Folders) -> bool:
    """Whether the inventory is there and names every machine of the record."""
    try:
        words = set(re.split(r"[\s:]+", folders.inventory.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return False
    return all(m.host in words for m in record.machines if m.role is not Role.REGISTRY)


def write(record: Record, folders: Folders) -> Path | None:
    """Write the inventory. It points at the files of `write_secrets`.

    An inventory that is there is kept beside it; returns its path.
    """
    kept = None
    if folders.inventory.exists():
        kept = folders.inventory.with_name("inventory.before.yml")
        write_file(kept, folders.inventory.read_text(encoding="utf-8"))
    write_file(folders.inventory, render(record, folders))
    return kept


def write_secrets(folders: Folders) -> None:
    """Draw the secrets that are not there and keep them in files that only root can read."""
    folders.secrets.mkdir(mode=0o700, exist_ok=True)
    drawn = {
        "db_password": secrets.token_urlsafe(18),
        "app_key": secrets.token_urlsafe(32),
        "aes_key": secrets.token_hex(32),
        "root_password": secrets.token_urlsafe(12),
        "sudo_password": secrets.token_urlsafe(12),
    }
    for name, value in drawn.items():
        if not (folders.secrets / name).exists():
            write_file(folders.secrets / name, f"{value}\n")


def _settings(record: Record, folders: Folders) -> dict[str, Any]:
    shape = record.shape
    runtime = {"kind": "compose", "dir": "/opt/nocobase", "port": 13000}
    registry = _only(record.machines, Role.REGISTRY).address
    return {
        "cluster": record.name,
        "version": record.shape.version,
        "image": f"{registry}:{REGISTRY_PORT}/{REPOSITORIES[record.shape.app]}",
        "runtime": runtime | (_pm2(folders) if shape.runtime is Runtime.PM2 else {}),
        "database": {
            "kind": shape.database.value,
            "managed": True,
            "name": "nocobase",
            "user": "nocobase",
            "password": _secret("db_password"),
        },
        "redis": {"managed": True} | _functions(shape),
        "balancer": {"kind": shape.balancer.value},
        "storage": {"kind": "shared", "path": STORAGE},
        # NocoBase's own Redis adapters are commercial: the lab's image holds stand-ins.
        "plugins": {"append": list(ADAPTER_PLUGINS)},
        "secrets": {"app_key": _secret("app_key"), "aes_key": _secret("aes_key")},
        "verify": {"account": {"email": _ACCOUNT, "password": _secret("root_password")}},
    }


def _pm2(folders: Folders) -> dict[str, Any]:
    return {"kind": "pm2", "package": {"source": folders.package}}


def _functions(shape: Shape) -> dict[str, Any]:
    if shape.redis is Redis.ONE:
        return {}
    return {function: {"host": host} for function, host in REDIS_HOSTS.items()}


def _secret(name: str) -> dict[str, str]:
    return {"file": f"secrets/{name}"}


def _only(machines: tuple[Machine, ...], role: Role) -> Machine:
    return next(machine for machine in machines if machine.role is role)
