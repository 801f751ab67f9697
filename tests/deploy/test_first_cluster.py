"""From machines to a running NocoBase in one command: the real thing."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import partial

import pytest

from tests.deploy.cluster import Cluster, ask, patiently

pytestmark = [pytest.mark.lab, pytest.mark.nocobase]

NODES = ("node1", "node2", "node3")
VERSION = "2.2.15"


@pytest.fixture(scope="module")
def deployed(nocobase: Cluster) -> Cluster:
    done = nocobase.deploy()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    lb = nocobase.address("lb")
    assert f"http://{lb}" in done.stdout
    assert nocobase.password() not in done.stdout + done.stderr
    return nocobase


def test_every_node_and_the_balancer_serve_the_version(deployed: Cluster) -> None:
    for url in [f"http://{deployed.address(node)}:13000" for node in NODES] + [
        f"http://{deployed.address('lb')}"
    ]:
        assert ask(f"{url}/api/__health_check") == "ok"
        assert ask(f"{url}/api/app:getInfo")["data"]["version"] == VERSION


def test_a_sign_in_through_the_balancer_is_valid_on_each_node(deployed: Cluster) -> None:
    account = {"account": "admin@nocobase.com", "password": deployed.password()}
    answer = ask(f"http://{deployed.address('lb')}/api/auth:signIn", data=account)
    token = answer["data"]["token"]
    for node in NODES:
        user = ask(f"http://{deployed.address(node)}:13000/api/auth:check", token=token)
        assert user["data"]["email"] == "admin@nocobase.com"


def test_no_node_started_before_the_first_one_had_installed_its_plugins(deployed: Cluster) -> None:
    logs = {node: container_log(deployed, node) for node in NODES}
    installed = moment_of(logs["node1"], "finish install built-in plugins")
    serving = moment_of(logs["node1"], "app has been started")
    for node in NODES[1:]:
        assert "install built-in plugins" not in logs[node]
        began = datetime.fromisoformat(logs[node].split(maxsplit=1)[0])
        assert installed < serving < began


def test_the_adapters_are_loaded_and_every_node_listens(deployed: Cluster) -> None:
    for node in NODES:
        # The app connects its adapters when it has started; what its installation does before
        # that concerns no other node.
        _, _, served = container_log(deployed, node).partition("app has been started")
        assert served
        assert "adapter is not exist" not in served
    clients = deployed.on("cache", "redis-cli client list type pubsub")
    listening = {line.split("addr=")[1].partition(":")[0] for line in clients.splitlines()}
    assert {deployed.address(node) for node in NODES} <= listening
    numbers = deployed.on("cache", "redis-cli -n 4 keys '*worker-id*'").split()
    assert len(numbers) == len(NODES)


def test_a_collection_made_through_one_node_is_there_on_the_others(deployed: Cluster) -> None:
    apps = [f"http://{deployed.address(node)}:13000/api" for node in NODES]
    account = {"account": "admin@nocobase.com", "password": deployed.password()}
    token = ask(f"{apps[0]}/auth:signIn", data=account)["data"]["token"]
    fields = [{"name": "title", "type": "string", "interface": "input"}]
    told = {"name": "seen", "title": "Seen", "fields": fields, "template": "general"}
    ask(f"{apps[0]}/collections:create", token=token, data=told)
    for app in apps[1:]:
        patiently(partial(ask, f"{app}/seen:list", token=token))
    ask(f"{apps[1]}/seen:create", token=token, data={"title": "from node2"})
    rows = ask(f"{apps[2]}/seen:list", token=token)["data"]
    assert [row["title"] for row in rows] == ["from node2"]
    ask(f"{apps[2]}/collections:destroy?filterByTk=seen", token=token, data={})


def test_a_second_deploy_changes_nothing_and_says_so(deployed: Cluster) -> None:
    before = {node: started_at(deployed, node) for node in NODES}
    done = deployed.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"nothing (was )?changed", done.stdout)
    assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}
    assert {node: started_at(deployed, node) for node in NODES} == before


def test_another_version_in_the_inventory_is_refused(deployed: Cluster) -> None:
    other = deployed.edited("other.yml", "all", "vars", "nocobase", "version", value="2.2.16")
    before = {node: started_at(deployed, node) for node in NODES}
    done = deployed.nbops("deploy", str(other))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "nbops upgrade --version 2.2.16" in done.stdout + done.stderr
    assert {node: started_at(deployed, node) for node in NODES} == before


def test_secrets_stand_nowhere_but_in_the_environment_and_the_releases(deployed: Cluster) -> None:
    secret = (deployed.inventory.parent / "secrets" / "db_password").read_text().strip()
    for host in (*NODES, "lb", "db", "cache"):
        found = deployed.on(
            host,
            f"grep -rlF -- '{secret}' /etc /opt /root /var/log /var/tmp /tmp /var/lib/nbops "
            "2>/dev/null; true",
        ).split()
        allowed = ("/opt/nocobase/", f"/var/lib/nbops/{deployed.name}/releases/")
        assert [path for path in found if not path.startswith(allowed)] == []
    assert secret not in deployed.on("node1", "ps -eo args; cat /proc/*/cmdline | tr '\\0' ' '")


def test_the_cluster_waits_for_a_reboot_and_comes_back(deployed: Cluster) -> None:
    policies = deployed.on(
        "node2", "docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' $(docker ps -q)"
    )
    assert policies.strip() in {"always", "unless-stopped"}


def container_log(cluster: Cluster, node: str) -> str:
    return cluster.on(node, "docker logs -t $(docker ps -q) 2>&1")


def moment_of(log: str, words: str) -> datetime:
    line = next(line for line in log.splitlines() if words in line)
    return datetime.fromisoformat(line.split(maxsplit=1)[0])


def started_at(cluster: Cluster, node: str) -> str:
    state = json.loads(cluster.on(node, "docker inspect $(docker ps -q)"))
    return str(state[0]["State"]["StartedAt"])
