from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.machines import Chaos
from tests.deploy.cluster import Cluster, new_cluster


@pytest.fixture(scope="session")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    """Two nodes with the sample app deployed on them. `CHAOS_LAB` names machines that stand
    already; they are then left standing."""
    folder = tmp_path_factory.mktemp("machines")
    standing = os.environ.get("CHAOS_LAB")
    cluster = new_cluster(folder)
    if standing:
        inventory = Path("/var/lib/nbops/lab", standing, "inventory.yml")
        cluster = Cluster(standing, folder / "home", inventory)
    try:
        if not standing:
            cluster.up(app="sample", nodes=2)
        yield Chaos(cluster)
    finally:
        if not standing:
            cluster.down()
