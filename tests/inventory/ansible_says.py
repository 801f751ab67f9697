"""Asks ansible-core itself: reads cases as JSON on stdin, writes what it makes of each.

Run as a program, so that the library under test never shares a process with Ansible.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.vars.manager import VariableManager

PREFIXES = (
    "inventory_",
    "ansible_facts",
    "ansible_config_file",
    "ansible_local",
    "ansible_version",
    "playbook_dir",
)
NOT_WRITTEN = {"ansible_playbook_python", "group_names", "groups", "hostvars", "omit"}


def answer(case: dict[str, Any]) -> dict[str, Any]:
    loader = DataLoader()
    manager = InventoryManager(loader=loader, sources=[case["file"]])
    variables = VariableManager(loader=loader, inventory=manager)
    hosts = [host.name for host in manager.get_hosts("all")]
    return {
        "hosts": hosts,
        "groups": manager.get_groups_dict(),
        "group_names": {
            name: manager.get_host(name).get_magic_vars()["group_names"] for name in hosts
        },
        "vars": {
            name: {
                key: value
                for key, value in variables.get_vars(
                    host=manager.get_host(name), include_hostvars=False
                ).items()
                if key not in NOT_WRITTEN and not key.startswith(PREFIXES)
            }
            for name in hosts
        },
        "patterns": {pattern: chosen(manager, pattern) for pattern in case["patterns"]},
        "limits": {
            f"{pattern}|{limit}": chosen(manager, pattern, limit)
            for pattern, limit in case["limits"]
        },
    }


def chosen(manager: InventoryManager, pattern: str, limit: str | None = None) -> list[str] | str:
    try:
        manager.subset(limit)
        return [host.name for host in manager.get_hosts(pattern)]
    except AnsibleError as error:
        return f"error: {error}"


if __name__ == "__main__":
    init_plugin_loader()
    json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout, default=str)
