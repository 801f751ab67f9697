"""Deploys after an edit of the inventory: just what is needed is done, and visitors notice
nothing, or the 503 page where all nodes must stop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.cluster import Cluster, ask
from tests.deploy.load import Seen, visitors

pytestmark = pytest.mark.lab

RUNS = "docker container ls --filter status=running --format '{{.ID}} {{.Names}}'"
POLICY = "docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' $(docker ps -aq)"


@dataclass
class Growing:
    """A cluster of three nodes with a fourth machine beside them."""

    cluster: Cluster

    def inventory(
        self,
        name: str,
        *nodes: str,
        spare: tuple[str, ...] = (),
        env: Any = None,
        **parts: Any,
    ) -> Path:
        """An inventory with these nodes; `spare` machines are in no group of the cluster, and
        `parts` go into the settings."""
        data = yaml.safe_load(self.cluster.inventory.read_text())
        groups = data["all"]["children"]
        every = groups["app"]["hosts"]
        groups["app"]["hosts"] = {node: every[node] for node in nodes}
        groups["spare"] = {"hosts": {node: every[node] for node in spare}}
        settings = data["all"]["vars"]["nocobase"]
        settings["env"] = env or {}
        for key, part in parts.items():
            settings[key] = settings.get(key, {}) | part
        path = self.cluster.inventory.with_name(name)
        path.write_text(yaml.safe_dump(data))
        return path

    def deploy(self, inventory: Path, *options: str) -> str:
        """Deploy it; what was said."""
        return self.nbops("deploy", str(inventory), *options)

    def nbops(self, *words: str, code: int = 0) -> str:
        done = self.cluster.nbops(*words, "--plain")
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def running(self, node: str) -> str:
        """The containers that run on a node, by their ids."""
        return self.cluster.on(node, RUNS).strip()

    def serves(self, node: str) -> bool:
        return bool(ask(f"http://{self.cluster.address(node)}:13000/api/__health_check") == "ok")


@pytest.fixture(scope="module")
def growing(sample: Cluster) -> Iterator[Growing]:
    """The fourth machine goes out of sight afterwards: other tests have three nodes."""
    before = sample.inventory.read_text()
    sample.up(app="sample", nodes=4)
    growing = Growing(sample)
    growing.deploy(growing.inventory("three.yml", "node1", "node2", "node3", spare=("node4",)))
    yield growing
    growing.deploy(growing.inventory("three.yml", "node1", "node2", "node3", spare=("node4",)))
    sample.inventory.write_text(before)


def unnoticed(seen: Seen) -> None:
    """No visitor got anything but answers; each asked once, the balancer retries nothing."""
    assert seen.errors == [], seen.errors
    assert seen.statuses() == {200, 404}
    assert len(seen.answers) > 100
    assert seen.sockets["101"] >= 1


def test_a_node_joins_and_one_leaves_and_visitors_notice_nothing(growing: Growing) -> None:
    before = growing.running("node1"), growing.running("node3")
    with visitors(growing.cluster.address("lb")) as seen:
        said = growing.deploy(growing.inventory("join.yml", "node1", "node2", "node3", "node4"))
        assert "node4 joins" in said
        assert growing.serves("node4")
        left = growing.inventory("left.yml", "node1", "node3", "node4", spare=("node2",))
        assert "node2 leaves" in growing.deploy(left)
        assert growing.running("node2") == ""
    unnoticed(seen)
    assert growing.cluster.on("node2", POLICY).strip() == "no"
    assert (growing.running("node1"), growing.running("node3")) == before
    balancer = growing.cluster.on("lb", "cat /etc/nginx/conf.d/nbops-*")
    assert growing.cluster.address("node4") in balancer
    assert growing.cluster.address("node2") not in balancer
    assert "nothing changed" in growing.deploy(left)


def test_nothing_goes_on_over_a_group_that_was_edited_and_not_deployed(growing: Growing) -> None:
    growing.deploy(growing.inventory("three.yml", "node1", "node2", "node3", spare=("node4",)))
    before = [growing.running(node) for node in ("node1", "node2", "node3")]
    fewer = str(growing.inventory("fewer.yml", "node1", "node2", spare=("node3", "node4")))
    more = str(growing.inventory("more.yml", "node4", "node1", "node2", "node3"))
    left = ("node3: a node of", "in the group `app` no more", "`nbops deploy` stops it")
    new = ("node4: in the group `app`, and no node of release", "`nbops deploy` starts it")
    word = ("--yes", "--accept-data-loss")
    for words, command in (
        (left, ("upgrade", fewer, "--version", "2.2.16")),
        (left, ("rollback", fewer, *word)),
        (left, ("restore", "some-backup", "-i", fewer, *word)),
        (left, ("plugin", "enable", "map", "-i", fewer)),
        (new, ("restore", "some-backup", "-i", more, *word)),
        (new, ("plugin", "enable", "map", "-i", more)),
    ):
        said = growing.nbops(*command, code=2)
        assert all(word in said for word in words), said
    assert [growing.running(node) for node in ("node1", "node2", "node3")] == before


def test_a_node_that_the_inventory_does_not_know_any_more_is_named(growing: Growing) -> None:
    three = growing.inventory("three.yml", "node1", "node2", "node3", spare=("node4",))
    growing.deploy(three)
    said = growing.deploy(growing.inventory("two.yml", "node1", "node2"))
    assert "its app may still run there" in said
    assert "ssh node3 'docker update --restart no nocobase-" in said
    assert growing.serves("node3")
    assert growing.cluster.address("node3") not in growing.cluster.on(
        "lb", "cat /etc/nginx/conf.d/nbops-*"
    )
    growing.deploy(three)
    assert growing.cluster.address("node3") in growing.cluster.on(
        "lb", "cat /etc/nginx/conf.d/nbops-*"
    )


def test_a_changed_variable_restarts_one_node_after_the_other(growing: Growing) -> None:
    nodes = ("node1", "node2", "node3")
    other = growing.inventory("extra.yml", *nodes, spare=("node4",), env={"EXTRA": "1"})
    before = [growing.running(node) for node in nodes]
    said = growing.deploy(other, "--check")
    assert "what has changed in the inventory: EXTRA" in said
    assert "one after the other, while the rest serves: node1, node2 and node3" in said
    assert [growing.running(node) for node in nodes] == before
    with visitors(growing.cluster.address("lb")) as seen:
        growing.deploy(other)
    unnoticed(seen)
    assert not set(before) & {growing.running(node) for node in nodes}
    assert "nothing changed" in growing.deploy(other)


def test_what_must_be_equal_everywhere_changes_behind_the_page(growing: Growing) -> None:
    nodes = ("node1", "node2", "node3")
    env = {"EXTRA": "1", "TZ": "Asia/Shanghai"}
    other = growing.inventory("zone.yml", *nodes, spare=("node4",), env=env)
    assert "503 while node1, node2 and node3 stop together: TZ changes" in growing.deploy(
        other, "--check"
    )
    with visitors(growing.cluster.address("lb")) as seen:
        growing.deploy(other)
    assert seen.errors == [], seen.errors
    assert seen.statuses() == {200, 404, 503}
    assert all(answer.retry for answer in seen.answers if answer.status == 503)
    assert seen.mixed() == []
    assert "nothing changed" in growing.deploy(other)


def test_a_deploy_of_another_port_that_fails_comes_back_on_the_one_before(
    growing: Growing,
) -> None:
    nodes, spare = ("node1", "node2", "node3"), ("node4",)
    there = growing.inventory("port.yml", *nodes, spare=spare)
    growing.deploy(there)
    broken = growing.inventory(
        "broken.yml",
        *nodes,
        spare=spare,
        env={"SAMPLE_FAULT": "die-at-start"},
        runtime={"port": 14000},
    )
    said = growing.nbops("deploy", str(broken), code=3)
    assert "Everything that was begun was undone" in said
    assert [node for node in nodes if growing.serves(node)] == list(nodes)
    assert ask(f"http://{growing.cluster.address('lb')}/api/__health_check") == "ok"
    assert "nothing changed" in growing.deploy(there)


def test_a_deploy_of_other_passwords_that_fails_comes_back_with_those_before(
    growing: Growing,
) -> None:
    nodes, spare = ("node1", "node2", "node3"), ("node4",)
    there = growing.inventory("before.yml", *nodes, spare=spare)
    growing.deploy(there)
    secret = growing.cluster.inventory.parent / "secrets" / "other"
    secret.write_text("another-password")
    secret.chmod(0o600)
    password = {"password": {"file": "secrets/other"}}
    passwords = {"database": password, "redis": password}
    fault = {"SAMPLE_FAULT": "die-at-start"}
    broken = growing.inventory("others.yml", *nodes, spare=spare, env=fault, **passwords)
    said = growing.nbops("deploy", str(broken), code=3)
    assert "Everything that was begun was undone" in said
    assert [node for node in nodes if growing.serves(node)] == list(nodes)
    assert growing.cluster.on("cache", "redis-cli ping").strip() == "PONG"
    assert "nothing changed" in growing.deploy(there)
    growing.deploy(growing.inventory("others.yml", *nodes, spare=spare, **passwords))
    assert "NOAUTH" in growing.cluster.on("cache", "redis-cli ping 2>&1; true")
    assert [node for node in nodes if growing.serves(node)] == list(nodes)
    growing.deploy(there)


def test_a_cluster_stops_and_starts_and_restarts(growing: Growing) -> None:
    nodes = ("node1", "node2", "node3")
    there = str(growing.inventory("zone.yml", *nodes, spare=("node4",), env={"TZ": "UTC"}))
    growing.deploy(Path(there))
    with visitors(growing.cluster.address("lb")) as seen:
        growing.nbops("stop", there)
        assert [growing.running(node) for node in nodes] == ["", "", ""]
        assert {growing.cluster.on(node, POLICY).strip() for node in nodes} == {"no"}
        assert "nothing changed" in growing.nbops("stop", there)
        # What was edited since is not for `start`.
        edited = growing.inventory(
            "zone.yml",
            *nodes,
            spare=("node4",),
            env={"TZ": "CET"},
            runtime={"port": 14000, "instances": 2},
        )
        growing.nbops("start", str(edited))
        before = [growing.running(node) for node in nodes]
        assert all(before)
    assert seen.errors == [], seen.errors
    assert seen.mixed() == []
    assert seen.statuses() == {200, 404, 503}
    for node in nodes:
        assert "TZ=UTC" in growing.cluster.on(node, "cat /opt/nocobase/node.env")
    with visitors(growing.cluster.address("lb")) as seen:
        said = growing.nbops("restart", str(edited))
        assert set(re.findall(r"failed=(\d+)", said)) == {"0"}
    unnoticed(seen)
    assert not set(before) & {growing.running(node) for node in nodes}
