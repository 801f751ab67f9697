from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.cluster import Cluster, new_cluster


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three machines for the sample app."""
    yield from _standing(tmp_path_factory, "sample")


@pytest.fixture(scope="session")
def nocobase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three machines for the real NocoBase."""
    yield from _standing(tmp_path_factory, "nocobase")


def _standing(factory: pytest.TempPathFactory, app: str) -> Iterator[Cluster]:
    cluster = new_cluster(factory.mktemp(app))
    try:
        cluster.up(app=app)
        yield cluster
    finally:
        cluster.down()
