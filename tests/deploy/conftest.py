from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.cluster import Cluster, new_cluster
from tests.deploy.upgrading import OLD, Upgrading


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three machines for the sample app."""
    yield from _standing(tmp_path_factory, "sample")


@pytest.fixture(scope="session")
def nocobase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three machines for the real NocoBase."""
    yield from _standing(tmp_path_factory, "nocobase")


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrading]:
    """Three nodes behind two balancers, with the sample app deployed."""
    cluster = new_cluster(tmp_path_factory.mktemp("upgrade"))
    try:
        cluster.up(app="sample", balancers=2)
        done = cluster.deploy()
        assert done.returncode == 0, done.stdout + done.stderr
        yield Upgrading(cluster)
    finally:
        cluster.down()


@pytest.fixture
def old(standing: Upgrading) -> Upgrading:
    """The same, on the old version, whatever the test before left."""
    standing.go_back_to_old()
    assert standing.version() == OLD
    return standing


def _standing(factory: pytest.TempPathFactory, app: str) -> Iterator[Cluster]:
    cluster = new_cluster(factory.mktemp(app))
    try:
        cluster.up(app=app)
        yield cluster
    finally:
        cluster.down()
