"""`nbops deploy` on real machines with the sample app, from nothing to a changed inventory.

One cluster is carried through all cases, in the order in which they stand here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbops.base.events import Event
from nbops.lab.lab import Lab, list_labs
from nbops.lab.layout import Wish
from tests.lab.rehearsal import Rehearsal

pytestmark = pytest.mark.lab


@dataclass
class Cluster:
    """A lab, its inventory, and the commands that a user has."""

    machines: Rehearsal
    inventory: Path
    state: Path

    def nbops(self, *words: str, **changes: Any) -> tuple[int, list[dict[str, Any]]]:
        """Run a command on the inventory with changed settings; exit code and events."""
        document = yaml.safe_load(self.inventory.read_text())
        settings = document["all"]["vars"]["nocobase"]
        for key, value in changes.items():
            old = settings.get(key)
            settings[key] = {**old, **value} if isinstance(old, dict) else value
        changed = self.inventory.with_name("changed.yml")
        changed.write_text(yaml.safe_dump(document))
        done = subprocess.run(
            [sys.executable, "-m", "nbops", *words, "-i", str(changed), "--json"],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env={**os.environ, "XDG_STATE_HOME": str(self.state)},
        )
        assert "bug in nbops" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def run(self, tmp_path: Path, runbook: str) -> tuple[int, list[dict[str, Any]]]:
        """Run a runbook of the test's own."""
        path = tmp_path / "own.yml"
        path.write_text(runbook)
        return self.nbops("run", str(path))

    def on(self, host: str, line: str) -> str:
        """What a line prints on a machine."""
        return self.machines.on(host, line)

    def events(self) -> list[list[str]]:
        """What every node wrote into the database, in order: node, event."""
        query = "SELECT node, event FROM lab_events ORDER BY at"
        rows = self.on("db", f"runuser -u postgres -- psql -XAtc '{query}' nocobase")
        return [row.split("|") for row in rows.splitlines()]

    def started(self) -> list[str]:
        """When each node's container was started."""
        look = "docker inspect --format '{{.State.StartedAt}}' $(docker ps -aq)"
        return [self.on(host, look) for host in NODES]


NODES = ("node1", "node2", "node3")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Machines with nothing on them yet."""
    events: list[Event] = []
    lab = Lab(f"t-{uuid.uuid4().hex[:8]}", events.append)
    try:
        inventory = lab.up(Wish(nodes=3, app="sample"))
        yield Cluster(Rehearsal(lab, events), inventory, tmp_path_factory.mktemp("state"))
    finally:
        if lab.name in list_labs():
            lab.down()


def changes(events: list[dict[str, Any]]) -> list[str]:
    """The tasks that changed something, with their hosts."""
    return [
        f"{event['task']}: {event['host']}"
        for event in events
        if event["kind"] == "step_ended" and event["status"] == "changed"
    ]


def failure(events: list[dict[str, Any]]) -> str:
    """What the failed tasks say."""
    return "\n".join(
        event["message"]
        for event in events
        if event["kind"] == "step_ended" and event["status"] == "failed"
    )


def warnings(events: list[dict[str, Any]]) -> str:
    """What the tasks warn of."""
    return "\n".join(
        word
        for event in events
        if event["kind"] == "step_ended"
        for word in event["result"].get("warnings", ())
    )


def test_a_look_at_empty_machines_changes_nothing(cluster: Cluster) -> None:
    code, events = cluster.nbops("deploy", "--check")
    assert code == 0, failure(events)
    assert "Start the first node: node1" in changes(events)
    assert cluster.on("node1", "ls /opt; docker ps -aq; docker image ls -q") == ""
    assert "inactive" in cluster.on("db", "systemctl is-active postgresql@17-main || true")
    assert "default" in cluster.on("lb", "ls /etc/nginx/sites-enabled")


def test_a_cluster_comes_from_nothing_and_users_can_sign_in(cluster: Cluster) -> None:
    code, events = cluster.nbops("deploy")
    assert code == 0, failure(events)
    (signed_in,) = [
        event["result"]
        for event in events
        if event["kind"] == "step_ended" and event["action"] == "nocobase_sign_in"
    ]
    assert signed_in["nodes"] == list(NODES)
    assert "2.2.15" in cluster.on("lb", "curl -s http://127.0.0.1/api/app:getInfo")


def test_one_node_installed_before_any_other_began(cluster: Cluster) -> None:
    events = cluster.events()
    first = events.index(["node1", "started"])
    assert ["node1", "installed"] in events[:first]
    assert {node for node, _ in events[:first]} == {"node1"}
    assert ["node2", "upgrade skipped"] in events
    assert ["node3", "upgrade skipped"] in events


def test_nothing_changes_the_second_time(cluster: Cluster) -> None:
    before = cluster.started()
    code, events = cluster.nbops("deploy")
    assert code == 0, failure(events)
    assert changes(events) == []
    assert cluster.started() == before


def test_secrets_stand_in_the_apps_environment_and_the_releases_only(cluster: Cluster) -> None:
    folder = cluster.inventory.parent / "secrets"
    secret = (folder / "db_password").read_text().strip()
    # Docker keeps the environment of its containers for itself, for root only.
    look = (
        f"grep -rlF --exclude-dir=containerd -e {secret}"
        " /etc /opt /root /var/lib/nbops /var/log /tmp /run || true"
    )
    found = cluster.on("node1", look).split()
    assert sorted(found) == [
        "/opt/nocobase/first.env",
        "/opt/nocobase/node.env",
        f"/var/lib/nbops/{cluster.machines.lab.name}/releases/000001.json",
    ]
    assert set(cluster.on("node1", f"stat -c %a {' '.join(found)}").split()) == {"600"}
    assert cluster.on("db", f"grep -rlF -e {secret} /etc /var/log || true") == ""


def test_another_version_is_refused_before_anything_is_done(cluster: Cluster) -> None:
    code, events = cluster.nbops("deploy", version="2.2.16")
    assert code == 2
    assert changes(events) == []


def test_another_app_key_is_refused_before_anything_is_done(cluster: Cluster) -> None:
    folder = cluster.inventory.parent / "secrets"
    (folder / "other_key").write_text("another-key-for-the-app\n")
    (folder / "other_key").chmod(0o600)
    code, events = cluster.nbops("deploy", secrets={"app_key": {"file": "secrets/other_key"}})
    assert code == 2
    assert changes(events) == []


def test_a_node_that_was_stopped_comes_back_by_a_deploy_only(
    cluster: Cluster, tmp_path: Path
) -> None:
    code, _ = cluster.run(
        tmp_path,
        "- {hosts: node3, gather_facts: false, become: true, tasks: [{nocobase_stop: }]}",
    )
    assert code == 0
    cluster.on("node3", "systemctl restart docker")
    assert cluster.on("node3", "docker ps -q") == ""
    code, events = cluster.nbops("deploy")
    assert code == 0, failure(events)
    assert {change.rpartition(" ")[2] for change in changes(events)} == {"node3"}


def test_a_node_that_serves_comes_back_with_its_machine(cluster: Cluster) -> None:
    cluster.on("node2", "systemctl restart docker && sleep 3")
    assert cluster.on("node2", "docker ps -q") != ""


def test_no_runbook_can_start_two_nodes_for_the_first_time(
    cluster: Cluster, tmp_path: Path
) -> None:
    play = "- {{hosts: app, gather_facts: false, become: true, tasks: [{}]}}"
    both = "{nocobase_stop: {anyway: true}}, {nocobase_start: {first: true}}"
    code, events = cluster.run(tmp_path, play.format(both))
    assert code == 1
    assert "node1 is started first at the same moment" in failure(events)
    assert cluster.on("node2", "docker ps -q") == ""
    together = "{nocobase_stop: {anyway: true}}, {nocobase_start: }"
    code, events = cluster.run(tmp_path, play.format(together))
    assert code == 1
    assert "only one node may install or migrate" in failure(events)
    assert [cluster.on(node, "docker ps -q") for node in NODES] == ["", "", ""]


def test_a_deploy_brings_back_what_was_stopped(cluster: Cluster) -> None:
    code, events = cluster.nbops("deploy")
    assert code == 0, failure(events)
    assert "Start the first node: node1" in changes(events)


def test_an_app_that_dies_is_told_of_with_its_last_words(cluster: Cluster) -> None:
    before = cluster.started()[1:]
    code, events = cluster.nbops("deploy", env={"SAMPLE_FAULT": "die-at-start"})
    assert code == 3
    assert "it has ended with status 1" in failure(events)
    assert "dying: SAMPLE_FAULT=die-at-start" in failure(events)
    assert cluster.started()[1:] == before
    code, events = cluster.nbops("deploy")
    assert code == 0, failure(events)


def test_an_app_of_the_wrong_version_is_no_success(cluster: Cluster) -> None:
    code, events = cluster.nbops("deploy", env={"SAMPLE_FAULT": "wrong-version"})
    assert code == 3
    assert "it serves 0.0.1, not 2.2.15" in failure(events)
    code, events = cluster.nbops("deploy")
    assert code == 0, failure(events)


def test_what_the_balancer_refuses_is_put_back(cluster: Cluster) -> None:
    site = f"/etc/nginx/conf.d/nbops-{cluster.machines.lab.name}.conf"
    before = cluster.on("lb", f"cat {site}; echo 'nonsense;' > /etc/nginx/conf.d/zz.conf")
    code, events = cluster.nbops("deploy", balancer={"sticky": True})
    assert code == 3
    assert 'unknown directive "nonsense"' in failure(events)
    assert cluster.on("lb", f"cat {site}; rm /etc/nginx/conf.d/zz.conf") == before
    code, events = cluster.nbops("deploy", balancer={"sticky": True})
    assert code == 0, failure(events)
    assert "ip_hash" in cluster.on("lb", f"cat {site}")


def test_a_redis_without_a_password_is_warned_of_and_one_with_it_is_not(cluster: Cluster) -> None:
    _, events = cluster.nbops("deploy")
    assert "Redis has no password" in warnings(events)
    secret = cluster.inventory.parent / "secrets" / "redis"
    secret.write_text('a "word" of $igns\n')
    secret.chmod(0o600)
    code, events = cluster.nbops("deploy", redis={"password": {"file": "secrets/redis"}})
    assert code == 0, failure(events)
    assert "Redis has no password" not in warnings(events)
    assert "NOAUTH" in cluster.on("cache", "redis-cli ping 2>&1 || true")
    assert changes(cluster.nbops("deploy", redis={"password": {"file": "secrets/redis"}})[1]) == []
