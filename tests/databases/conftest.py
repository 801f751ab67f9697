from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.databases.bench import Bench
from tests.deploy.cluster import Cluster, new_cluster


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Machines of which `db` has PostgreSQL and MariaDB. $NBOPS_TEST_LAB names a lab that
    stands already, and is left standing."""
    standing = os.environ.get("NBOPS_TEST_LAB")
    if standing:
        cluster = Cluster(standing, tmp_path_factory.mktemp("home") / "home")
        cluster.inventory = Path(f"/var/lib/nbops/lab/{standing}/inventory.yml")
        yield cluster
        return
    cluster = new_cluster(tmp_path_factory.mktemp("databases"))
    try:
        cluster.up(app="sample", nodes=1)
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="session", params=["postgres", "mariadb"])
def bench(request: pytest.FixtureRequest, machines: Cluster) -> Bench:
    """A database with everything that a backup must bring back."""
    kind: str = request.param
    data = yaml.safe_load(machines.inventory.read_text())
    nocobase = data["all"]["vars"]["nocobase"]
    nocobase["database"]["kind"] = kind
    nocobase["backup"] = {"dir": f"/var/backups/{kind}", "keep": 2}
    nocobase["ssh"] = {"config": "ssh_config"}  # not the box's own
    machines.inventory.with_name("ssh_config").touch()
    inventory = machines.inventory.with_name(f"{kind}.yml")
    inventory.write_text(yaml.safe_dump(data))
    bench = Bench(machines, kind, inventory)
    bench.fresh()
    return bench
