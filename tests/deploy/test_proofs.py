"""What a deploy proves at its end, on machines where it does not hold."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.deploy.cluster import Cluster, ask

pytestmark = pytest.mark.lab

SETTINGS = ("all", "vars", "nocobase")
NODES = ("node1", "node2", "node3")
STORAGE = "/srv/nocobase/storage"


@pytest.fixture(scope="module")
def cluster(sample: Cluster) -> Iterator[Cluster]:
    done = sample.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "do not synchronise" not in done.stdout + done.stderr
    yield sample
    sample.deploy()


def changed(
    cluster: Cluster, part: str, value: object, *options: str
) -> subprocess.CompletedProcess[str]:
    other = cluster.edited(f"{part}.yml", *SETTINGS, part, value=value)
    return cluster.nbops("deploy", str(other), *options)


def test_the_proof_leaves_no_trace_in_the_app_or_on_the_storage(cluster: Cluster) -> None:
    base = f"http://{cluster.address('lb')}/api"
    account = {"account": "admin@nocobase.com", "password": cluster.password()}
    token = ask(f"{base}/auth:signIn", data=account)["data"]["token"]
    storages = ask(f"{base}/storages:list", token=token)["data"]
    assert [storage["name"] for storage in storages] == ["local"]
    assert cluster.deploy("--check").returncode == 0
    for node in NODES:
        assert cluster.on(node, f"find {STORAGE} -name '.nbops-*'") == ""


def test_a_folder_that_is_not_shared_is_found_before_anything_is_done(cluster: Cluster) -> None:
    cluster.on("node2", f"mount -t tmpfs tmpfs {STORAGE}")
    try:
        book = cluster.home / "storage.yml"
        book.write_text(
            "- hosts: app\n  become: true\n  gather_facts: false\n  tasks:\n    - block:\n"
            "        - nocobase_prove_storage: mark\n        - nocobase_prove_storage: find\n"
            "      always:\n        - nocobase_prove_storage: clear\n"
        )
        done = cluster.nbops("run", str(book), "-i", str(cluster.inventory))
        assert done.returncode == 1, done.stdout + done.stderr
        assert f"node1 does not see in {STORAGE} what node2 wrote there" in done.stdout
        assert f"node2 does not see in {STORAGE} what node1, node3 wrote there" in done.stdout
        for node in NODES:
            assert cluster.on(node, f"find {STORAGE} -name '.nbops-*'") == ""
    finally:
        cluster.on("node2", f"umount {STORAGE}")


def test_nodes_that_hear_nothing_of_each_other_are_no_cluster(cluster: Cluster) -> None:
    done = changed(cluster, "env", {"SAMPLE_FAULT": "deaf"})
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the nodes do not synchronise: a change made through node1" in done.stdout
    assert "was not noticed by node2, node3" in done.stdout


def test_an_image_without_the_adapters_is_healthy_and_no_cluster(cluster: Cluster) -> None:
    done = changed(cluster, "env", {"SAMPLE_FAULT": "no-adapters"})
    assert done.returncode == 3, done.stdout + done.stderr
    assert "healthy, but no cluster: not loaded on node1, node2, node3" in done.stdout
    assert "plugin-pubsub-adapter-redis" in done.stdout
    assert "plugins.package_service" in done.stdout


def test_to_go_without_adapters_is_allowed_and_said_loudly(cluster: Cluster) -> None:
    done = changed(cluster, "plugins", {"append": []})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the nodes do not synchronise with each other" in done.stdout + done.stderr
