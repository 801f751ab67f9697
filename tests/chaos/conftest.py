from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.deploy.monitor")

from tests.chaos.machines import Chaos  # noqa: E402 - what it imports is rewritten
from tests.deploy.cluster import Cluster, new_cluster  # noqa: E402 - as well
from tests.deploy.upgrading import OLD, Upgrading  # noqa: E402 - as well


@pytest.fixture(scope="session")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    """Machines for two nodes with the sample app."""
    yield from _machines(tmp_path_factory)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    """The same, for tests that need machines on which nothing was deployed yet."""
    yield from _machines(tmp_path_factory)


@pytest.fixture
def old(chaos: Chaos) -> Upgrading:
    """The same, on the old version, whatever the test before left."""
    world = Upgrading(chaos.cluster)
    if not chaos.on("ls /var/lib/nbops/*/releases 2>/dev/null; true", ("node1",))["node1"]:
        code, out = chaos.nbops("deploy", str(chaos.cluster.inventory))
        assert code == 0, out
    world.go_back_to_old()
    assert world.version() == OLD
    return world


def _machines(factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    """`CHAOS_LAB` names machines that stand already; they are then left standing."""
    folder = factory.mktemp("machines")
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
