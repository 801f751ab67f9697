"""Every kind of cluster through the same life: a deploy that fails, deploy, deploy, upgrade,
rollback; where the database cannot be renamed, an upgrade that fails and one after it.

Two rows that have nothing in common are part of `make test`; `make matrix` runs all of them.
The first row of the table in the README, three nodes of the real NocoBase in containers with
PostgreSQL, one Redis and nginx, is in test_first_cluster.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.cluster import new_cluster
from tests.deploy.life import (
    NEW,
    OLD,
    Life,
    Row,
    changes,
    in_each,
    on_host,
    other_logins,
    own_balancer,
    tls,
)
from tests.deploy.traces import DATABASES, TRACES, differ

pytestmark = pytest.mark.lab

QUICK = [
    Row(
        "mixed-mariadb-separate-two-haproxy",
        "--nodes 2 --runtime mixed --database mariadb --redis separate"
        " --balancer haproxy --balancers 2",
    ),
    Row(
        "compose-postgres-nginx-instances-worker-logins-jump",
        "--nodes 3",
        (on_host("node2", instances=2), on_host("node3", worker_mode="*"), other_logins),
    ),
]
SLOW = [
    Row(
        "pm2-mariadb-two-nginx-tls",
        "--nodes 2 --runtime pm2 --database mariadb --balancers 2",
        (tls, in_each("runtime", cluster_mode=2, instances=2)),
    ),
    Row(
        "pm2-postgres-separate-external",
        "--nodes 2 --runtime pm2 --redis separate",
        (own_balancer,),
    ),
    Row(
        "compose-mariadb-haproxy-tls-worker",
        "--nodes 3 --database mariadb --balancer haproxy",
        (tls, on_host("node3", worker_mode="*"), in_each("balancer", sticky=True)),
    ),
    Row(
        "mixed-mariadb-logins-jump",
        "--nodes 2 --runtime mixed --database mariadb",
        (other_logins,),
    ),
]
REAL = [
    Row(
        "nocobase-pm2-mariadb-separate-haproxy",
        "--nodes 2 --runtime pm2 --database mariadb --redis separate --balancer haproxy",
        (in_each("runtime", cluster_mode=2),),
        app="nocobase",
    ),
    Row(
        "nocobase-compose-mariadb-nginx",
        "--nodes 2 --database mariadb",
        app="nocobase",
    ),
]
ROWS = [
    *(pytest.param(row, id=row.name) for row in QUICK),
    *(pytest.param(row, id=row.name, marks=pytest.mark.series) for row in SLOW),
    *(
        pytest.param(row, id=row.name, marks=[pytest.mark.series, pytest.mark.nocobase])
        for row in REAL
    ),
]


@pytest.fixture(scope="module", params=ROWS)
def life(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Life]:
    life = Life(new_cluster(tmp_path_factory.mktemp("matrix")), request.param)
    trusted = pytest.MonkeyPatch()
    try:
        life.begin()
        if "tls" in life.settings["balancer"]:
            trusted.setenv("SSL_CERT_FILE", str(life.folder / "tls.pem"))
        yield life
    finally:
        trusted.undo()
        life.cluster.down()


def test_a_first_deploy_that_fails_leaves_nothing(life: Life) -> None:
    if life.row.app != "sample":
        pytest.skip("only the rehearsal's app dies when it is told to")
    before = life.traces(TRACES)
    fault = life.cluster.edited(
        "fault.yml", "all", "vars", "nocobase", "env", value={"SAMPLE_FAULT": "die-at-start"}
    )
    out = life.run("deploy", code=3, inventory=fault)
    assert "it has ended with status 1" in out
    assert "failed and rolled back on node1" in out
    assert not (wrong := differ(life.traces(TRACES), before)), wrong
    assert "nocobase" not in life.traces(DATABASES)["db"]


def test_it_is_deployed(life: Life) -> None:
    life.run("deploy")
    life.check_serves(OLD)
    life.write("before the upgrade")
    life.come_to("deployed", after="")


def test_a_second_deploy_changes_nothing(life: Life) -> None:
    life.come_to("deployed twice", after="deployed")
    assert changes(life.run("deploy")) == {"0"}


def test_an_upgrade_brings_the_new_version_and_loses_nothing(life: Life) -> None:
    assert life.reached == "deployed twice"
    assert "503 for" in life.run("upgrade", "--version", NEW)
    life.check_serves(NEW)
    life.write("after the upgrade")
    assert life.written() == {"before the upgrade", "after the upgrade"}
    life.come_to("upgraded", after="deployed twice")


def test_a_rollback_brings_the_old_version_and_its_data_back(life: Life) -> None:
    life.come_to("rolled back", after="upgraded")
    life.run("rollback", "--yes", "--accept-data-loss")
    life.check_serves(OLD)
    assert life.written() == {"before the upgrade"}
    assert changes(life.run("deploy")) == {"0"}


def test_an_upgrade_that_fails_is_undone_and_the_next_one_has_what_was_written_since(
    life: Life,
) -> None:
    if "mariadb" not in life.row.shape:
        pytest.skip("a database that is renamed: see test_upgrade_broken.py")
    life.come_to("failed", after="rolled back")
    checks = life.folder / "runbooks" / "verify.yml"
    checks.parent.mkdir()
    checks.write_text('- {name: Shop is open, command: "false"}\n')
    life.run("upgrade", "--version", NEW, code=3)
    checks.unlink()
    life.check_serves(OLD)
    life.write("after the failure")
    life.run("restart")
    assert life.written() == {"before the upgrade", "after the failure"}
    life.run("upgrade", "--version", NEW)
    life.check_serves(NEW)
    assert life.written() == {"before the upgrade", "after the failure"}
