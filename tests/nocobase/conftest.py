"""A cluster's variables as the engine gives them to an action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nbops.base.secret import Secret

Variables = Callable[..., Mapping[str, Any]]


def settings(**parts: Any) -> dict[str, Any]:
    """The effective settings of a host; `parts` replace whole parts."""
    return {
        "cluster": "demo",
        "version": "2.2.15",
        "image": "registry:5000/nocobase/nocobase",
        "runtime": {"kind": "compose", "dir": "/opt/nocobase", "port": 13000},
        "database": {
            "kind": "postgres",
            "managed": True,
            "port": 5432,
            "name": "nocobase",
            "user": "nocobase",
            "password": Secret("db-pa$$'word"),
        },
        "redis": {"managed": True, "port": 6379},
        "balancer": {"kind": "nginx"},
        "storage": {"kind": "shared", "path": "/srv/storage"},
        "secrets": {"app_key": Secret("app-key-of-demo"), "aes_key": Secret("ab" * 32)},
        "verify": {"account": {"email": "a@b.example", "password": Secret('quoted "one"')}},
    } | parts


@pytest.fixture
def variables() -> Variables:
    """Makes the variables of one host of a cluster with three nodes."""

    def make(
        host: str = "node1", facts: Mapping[str, Mapping[str, Any]] | None = None, **parts: Any
    ) -> Mapping[str, Any]:
        addresses = {
            "lb": "198.18.0.3",
            "db": "198.18.0.4",
            "cache": "198.18.0.5",
            "node1": "198.18.0.11",
            "node2": "198.18.0.12",
            "node3": "198.18.0.13",
        }
        shared = settings(**parts)
        hostvars = {
            name: {"ansible_host": address, "nocobase": shared} | dict((facts or {}).get(name, {}))
            for name, address in addresses.items()
        }
        return {
            **hostvars[host],
            "inventory_hostname": host,
            "hostvars": hostvars,
            "groups": {
                "all": list(addresses),
                "app": ["node1", "node2", "node3"],
                "balancer": ["lb"],
                "database": ["db"],
                "redis": ["cache"],
            },
            "nbops_run": "20261123T084733Z-1a2b3c",
            "nbops_operator": "ann@desk",
        }

    return make
