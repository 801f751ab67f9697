"""The inventory that a lab writes: an ordinary one, as for any cluster."""

from __future__ import annotations

import secrets
from typing import Any

import yaml

from nbops.lab.images.adapters import ADAPTER_PLUGINS
from nbops.lab.layout import REGISTRY_PORT, App, Machine, Role
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
    connection = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folders.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={folders.known_hosts}"
        " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
    }
    inventory = {
        "all": {"vars": connection | {"nocobase": _settings(record)}, "children": groups},
    }
    head = (
        f"# The lab {record.name!r}: {record.shape}.\n"
        f"# `nbops lab ssh --name {record.name} HOST` opens a shell on a machine;\n"
        f"# `nbops lab down --name {record.name}` removes all of it.\n"
    )
    return head + yaml.safe_dump(inventory, sort_keys=False, width=1000)


def write(record: Record, folders: Folders) -> None:
    """Write the secrets, then the inventory that points at them."""
    write_secrets(folders)
    write_file(folders.inventory, render(record, folders))


def write_secrets(folders: Folders) -> None:
    """Draw the cluster's secrets and keep them in files that only root can read."""
    folders.secrets.mkdir(mode=0o700, exist_ok=True)
    drawn = {
        "db_password": secrets.token_urlsafe(18),
        "app_key": secrets.token_urlsafe(32),
        "aes_key": secrets.token_hex(32),
        "root_password": secrets.token_urlsafe(12),
    }
    for name, value in drawn.items():
        write_file(folders.secrets / name, f"{value}\n")


def _settings(record: Record) -> dict[str, Any]:
    registry = _only(record.machines, Role.REGISTRY).address
    return {
        "cluster": record.name,
        "version": record.shape.version,
        "image": f"{registry}:{REGISTRY_PORT}/{REPOSITORIES[record.shape.app]}",
        "runtime": {"kind": "compose", "dir": "/opt/nocobase", "port": 13000},
        "database": {
            "kind": "postgres",
            "managed": True,
            "name": "nocobase",
            "user": "nocobase",
            "password": _secret("db_password"),
        },
        "redis": {"managed": True},
        "balancer": {"kind": "nginx"},
        "storage": {"kind": "shared", "path": STORAGE},
        # NocoBase's own Redis adapters are commercial: the lab's image holds stand-ins.
        "plugins": {"append": list(ADAPTER_PLUGINS)},
        "secrets": {"app_key": _secret("app_key"), "aes_key": _secret("aes_key")},
        "verify": {"account": {"email": _ACCOUNT, "password": _secret("root_password")}},
    }


def _secret(name: str) -> dict[str, str]:
    return {"file": f"secrets/{name}"}


def _only(machines: tuple[Machine, ...], role: Role) -> Machine:
    return next(machine for machine in machines if machine.role is role)
