"""What stands around an upgrade, on machines: status, logs, releases, plugins, restore."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.cluster import Cluster, ask, new_cluster
from tests.nocobase.test_plugins import hello

pytestmark = pytest.mark.lab

RUNS_AND_FILES = """\
docker ps -aq | xargs docker inspect -f '{{.Id}} {{.State.StartedAt}}'
sha256sum /opt/nocobase/*
ls -A /var/lib/nbops/*
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes of the sample app, deployed."""
    made = new_cluster(tmp_path_factory.mktemp("around"))
    try:
        made.up(app="sample", nodes=2)
        done = made.deploy("--plain")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made
    finally:
        made.down()


def seen(cluster: Cluster, code: int = 0) -> dict[str, Any]:
    done = cluster.nbops("status", str(cluster.inventory), "--json")
    assert done.returncode == code, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def plugins(cluster: Cluster, host: str = "node1") -> dict[str, bool]:
    """Which plugins a node has, and whether they are enabled."""
    base = f"http://{cluster.address(host)}:13000/api"
    account = {"account": "admin@nocobase.com", "password": cluster.password()}
    token = ask(f"{base}/auth:signIn", data=account)["data"]["token"]
    return {one["name"]: one["enabled"] for one in ask(f"{base}/pm:list", token=token)["data"]}


def switch(cluster: Cluster, verb: str, *names: str) -> tuple[int, str]:
    done = cluster.nbops("plugin", verb, *names, "-i", str(cluster.inventory), "--plain")
    return done.returncode, done.stdout + done.stderr


def test_status_shows_every_part_as_it_serves(cluster: Cluster) -> None:
    document = seen(cluster)
    assert document["troubles"] == []
    assert [one["version"] for one in document["apps"]] == ["2.2.15", "2.2.15"]
    assert [one["gives"] for one in document["balancers"]] == ["traffic"]
    assert document["redis"][0]["version"]
    assert document["database"]["version"] == "2.2.15"
    assert document["database"]["size"] > 1_000_000
    assert document["release"]["number"] == 1
    assert not document["lock"]["held"]


def test_every_command_tells_with_check_what_it_would_do_and_does_nothing(cluster: Cluster) -> None:
    where = str(cluster.inventory)
    assert cluster.nbops("backup", "-i", where).returncode == 0
    listed = json.loads(cluster.nbops("backups", "-i", where, "--json").stdout)
    backup = listed["backups"][0]["name"]
    before = left(cluster)
    for command in (
        ("deploy", where),
        ("upgrade", where, "--version", "2.2.16"),
        ("restore", backup, "-i", where),
        ("backup", "-i", where),
        ("restart", where),
        ("stop", where),
        ("start", where),
        ("maintenance", "on", where),
        ("plugin", "enable", "map", "-i", where),
    ):
        done = cluster.nbops(*command, "--check", "--diff", "--plain")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "would" in done.stdout.splitlines()[-1], done.stdout
        assert left(cluster) == before, command


def left(cluster: Cluster) -> list[str]:
    """What runs since when, and what is configured and kept, on the hosts."""
    return [
        *(cluster.on(node, RUNS_AND_FILES) for node in ("node1", "node2")),
        cluster.on("lb", "cat /etc/nginx/conf.d/nbops-*; ls -A /var/lib/nbops/*"),
        cluster.on("db", "ls -A /var/backups/nocobase/* /var/lib/nbops/*"),
    ]


def test_logs_stand_after_their_hosts(cluster: Cluster) -> None:
    done = cluster.nbops("logs", "-i", str(cluster.inventory), "--lines", "2")
    assert done.returncode == 0, done.stderr
    hosts = [line.split(" | ")[0] for line in done.stdout.splitlines()]
    assert hosts == ["node1", "node1", "node2", "node2"]
    one = cluster.nbops("logs", "-i", str(cluster.inventory), "node2", "--since", "1h")
    assert {line.split(" | ")[0] for line in one.stdout.splitlines()} == {"node2"}


def test_what_cannot_be_done_with_plugins_is_refused_before_anything_is_touched(
    cluster: Cluster,
) -> None:
    code, told = switch(cluster, "disable", "users")
    assert code == 2, told
    assert "a part of the app itself" in told
    code, told = switch(cluster, "enable", "mapp")
    assert code == 2, told
    assert "did you mean `map`?" in told
    assert seen(cluster)["pending"] is None


def test_a_plugin_is_enabled_on_every_node_and_is_a_release(cluster: Cluster) -> None:
    code, told = switch(cluster, "enable", "map")
    assert code == 0, told
    assert plugins(cluster, "node1")["map"]
    assert plugins(cluster, "node2")["map"]
    document = seen(cluster)
    assert document["release"]["number"] == 2
    assert document["release"]["backup"] == document["backup"]["name"]
    code, told = switch(cluster, "enable", "map")
    assert code == 0
    assert "nothing changed" in told


def test_a_plugin_that_fails_half_way_leaves_the_cluster_as_it_was(cluster: Cluster) -> None:
    code, told = switch(cluster, "enable", "half-baked")
    assert code == 3, told
    assert "cannot be installed" in told
    assert plugins(cluster)["map"]
    assert not plugins(cluster)["half-baked"]
    tables = cluster.on("db", "runuser -u postgres -- psql -At nocobase -c '\\dt'")
    assert "plugin_map" in tables
    assert "plugin_half-baked" not in tables
    assert seen(cluster)["release"]["number"] == 2


def test_a_backup_is_restored_under_the_release_that_runs(cluster: Cluster) -> None:
    before = str(seen(cluster)["release"]["backup"])  # of before the plugin
    refused = cluster.nbops("restore", before, "-i", str(cluster.inventory), "--yes", "--plain")
    assert refused.returncode == 2
    assert "without your word" in refused.stdout + refused.stderr
    done = cluster.nbops(
        "restore", before, "-i", str(cluster.inventory), "--yes", "--accept-data-loss", "--plain"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not plugins(cluster)["map"]
    listed = cluster.nbops("releases", "-i", str(cluster.inventory), "--json")
    (latest, earlier, _first) = json.loads(listed.stdout)["releases"]
    assert latest["present"]
    assert latest["parent"] == earlier["parent"]
    assert latest["backup"] == earlier["backup"]


def test_a_deploy_with_a_new_package_that_fails_puts_the_old_one_back(cluster: Cluster) -> None:
    settings = ("all", "vars", "nocobase")
    package = "cat /srv/nocobase/storage/plugins/@me/plugin-hello/dist/index.js"
    folder = cluster.inventory.parent
    now = yaml.safe_load(cluster.inventory.read_text())["all"]["vars"]["nocobase"]
    old, new = (hello(folder, version) for version in ("1.0.0", "2.0.0"))
    first = cluster.edited(
        "first.yml", *settings, value=now | {"plugins": now["plugins"] | {"local": [old.name]}}
    )
    done = cluster.nbops("deploy", str(first), "--plain")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.on("node1", package) == "// 1.0.0"
    other = now | {"plugins": now["plugins"] | {"local": [new.name]}}
    other["env"] = now.get("env", {}) | {"SAMPLE_FAULT": "die-at-start"}
    done = cluster.nbops("deploy", str(cluster.edited("other.yml", *settings, value=other)))
    assert done.returncode == 3, done.stdout + done.stderr
    assert cluster.on("node1", package) == "// 1.0.0"
    assert seen(cluster)["troubles"] == []


def test_hosts_that_are_down_are_named_and_the_others_shown(cluster: Cluster) -> None:
    cluster.on("node2", "docker ps -q | xargs docker stop")
    cluster.on("cache", "systemctl stop redis-server")
    cluster.on("db", "systemctl stop ssh.socket ssh.service || true")
    document = seen(cluster, code=1)
    told = " ".join(one["what"] for one in document["troubles"])
    assert "db cannot be used" in told
    assert "node2 does not run" in told
    assert "Redis at" in told
    assert [one["up"] for one in document["apps"]] == [True, False]
