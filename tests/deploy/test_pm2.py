"""The runtime `pm2` on real machines, with the sample app: no Docker on the way.

One cluster is carried through all cases, in the order in which they stand here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.cluster import Cluster, ask, new_cluster

pytestmark = pytest.mark.lab

NODES = ("node1", "node2")
BACKGROUND = {"kind": "compose", "worker_mode": "*", "instances": 2}
ODD = """a b$c"d'e\\f`g#h;%i ${x}"""
CHANGE = """\
- hosts: app
  gather_facts: false
  any_errors_fatal: true
  become: true
  tasks:
    - nocobase_pull:
    - nocobase_configure:
    - nocobase_stop: {surplus: true}

- hosts: app[0]
  gather_facts: false
  any_errors_fatal: true
  become: true
  tasks:
    - nocobase_start: {first: true}
    - nocobase_wait:
    - nocobase_autostart:

- hosts: app:!app[0]
  gather_facts: false
  any_errors_fatal: true
  become: true
  tasks:
    - nocobase_start:
    - nocobase_wait:
    - nocobase_autostart:

- hosts: app[0]
  gather_facts: false
  any_errors_fatal: true
  become: true
  tasks:
    - nocobase_start:
    - nocobase_wait:
    - nocobase_autostart:

- hosts: balancer
  gather_facts: false
  any_errors_fatal: true
  become: true
  tasks:
    - balancer_configure:
"""
STOP = """\
- hosts: node1
  gather_facts: false
  become: true
  tasks:
    - nocobase_stop: {anyway: true}
"""
PULL = """\
- hosts: app
  gather_facts: false
  become: true
  tasks:
    - nocobase_pull:
"""
BOOTSTRAP = """\
- hosts: node2
  gather_facts: false
  become: true
  tasks:
    - nocobase_bootstrap:
"""
# The machines reach no package source: one of the test's own, with a stand-in for npm.
PACKAGE_SOURCE = """\
set -e
cd /srv && mkdir -p debs npm/DEBIAN npm/usr/bin
printf 'Package: npm\\nVersion: 9.2.0\\nArchitecture: all\\nMaintainer: a <a@b.example>\\n\
Description: stand-in\\n' > npm/DEBIAN/control
printf '#!/bin/sh\\necho 9.2.0\\n' > npm/usr/bin/npm && chmod 755 npm/usr/bin/npm
dpkg-deb --root-owner-group --build npm debs/npm.deb
sum=$(sha256sum < debs/npm.deb)
{ dpkg-deb -f debs/npm.deb; echo Filename: ./npm.deb; echo Size: $(stat -c %s debs/npm.deb)
  echo SHA256: ${sum%% *}; } > debs/Packages
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/debs ./' > /etc/apt/sources.list.d/own.list
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = new_cluster(tmp_path_factory.mktemp("pm2"))
    shape = ("--name", cluster.name, "--nodes", "2", "--app", "sample", "--runtime", "pm2")
    try:
        done = cluster.nbops("lab", "up", *shape)
        assert done.returncode == 0, done.stdout + done.stderr
        cluster.inventory = Path(done.stdout.strip().splitlines()[-1])
        done = cluster.deploy()
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr
        yield cluster
    finally:
        cluster.down()


def changed(
    cluster: Cluster, name: str, node2: dict[str, Any] | None = None, **runtime: Any
) -> Path:
    """An inventory with another runtime for all nodes, or for the second."""
    data = yaml.safe_load(cluster.inventory.read_text())
    data["all"]["vars"]["nocobase"]["runtime"].update(runtime)
    if node2:
        data["all"]["children"]["app"]["hosts"]["node2"]["nocobase"] = {"runtime": node2}
    path = cluster.inventory.with_name(name)
    path.write_text(yaml.safe_dump(data))
    return path


def run(cluster: Cluster, inventory: Path, text: str) -> str:
    """What a runbook says on an inventory. Raises when it fails."""
    runbook = cluster.home / "own.yml"
    runbook.write_text(text)
    done = cluster.nbops("run", str(runbook), "-i", str(inventory))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    return done.stdout


def unit(cluster: Cluster, number: str = "") -> str:
    return f"nocobase-{cluster.name}{number}.service"


def behind(cluster: Cluster) -> list[str]:
    """The addresses that nginx sends requests to."""
    told = cluster.on("lb", "nginx -T 2>/dev/null")
    return sorted(set(re.findall(r"server (198\.[0-9.:]+)", told)))


def test_every_node_serves_as_a_user_of_its_own(cluster: Cluster) -> None:
    for node in NODES:
        assert ask(f"http://{cluster.address(node)}:13000/api/app:getInfo")["data"]["version"]
        who = cluster.on(node, f"ps -o user= -p $(systemctl show -P MainPID {unit(cluster)})")
        assert who.strip() == "nocobase"
        assert cluster.on(node, f"systemctl is-enabled {unit(cluster)}").strip() == "enabled"


def test_a_second_deploy_changes_nothing(cluster: Cluster) -> None:
    done = cluster.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}


def test_secrets_stand_in_the_environment_alone(cluster: Cluster) -> None:
    secret = (cluster.inventory.parent / "secrets" / "db_password").read_text().strip()
    for node in NODES:
        assert secret not in cluster.on(node, f"systemctl cat {unit(cluster)}; ps -eo args")
        assert secret not in cluster.on(node, f"systemctl show {unit(cluster)}")
        readable = cluster.on(node, "find /opt/nocobase -name '*.env' -perm /077")
        assert readable == ""


def test_a_stop_is_no_kill_and_lasts(cluster: Cluster) -> None:
    run(cluster, cluster.inventory, STOP)
    log = cluster.on("node1", f"journalctl -u {unit(cluster)} -o cat -n 5")
    assert "stopping on SIGTERM" in log
    assert "Deactivated successfully" in log
    told = cluster.on("node1", f"systemctl is-enabled {unit(cluster)}; true")
    assert told.strip() == "disabled"
    assert "changed=0" in run(cluster, cluster.inventory, STOP)


def test_an_app_that_is_killed_comes_back(cluster: Cluster) -> None:
    run(cluster, cluster.inventory, CHANGE)
    cluster.on("node1", f"kill -9 $(systemctl show -P MainPID {unit(cluster)})")
    asked = "curl -fs 127.0.0.1:13000/api/__health_check"
    cluster.on("node1", f"for _ in $(seq 60); do sleep 0.5; {asked} && exit 0; done; exit 1")


def test_several_apps_on_each_host_are_all_behind_the_balancer(cluster: Cluster) -> None:
    inventory = changed(cluster, "several.yml", instances=2, cluster_mode=2)
    data = yaml.safe_load(inventory.read_text())
    data["all"]["vars"]["nocobase"]["env"] = {"ODD": ODD}
    inventory.write_text(yaml.safe_dump(data))
    run(cluster, inventory, CHANGE)
    main = f"/proc/$(systemctl show -P MainPID {unit(cluster, '.2')})/environ"
    assert f"ODD={ODD}" in cluster.on("node2", f"cat {main}").split("\0")
    ports = {
        node: cluster.on(node, "ss -Hltn 'sport >= :13000 and sport < :13010'").count("LISTEN")
        for node in NODES
    }
    assert ports == {"node1": 2, "node2": 2}
    addresses = [f"{cluster.address(node)}:{port}" for node in NODES for port in (13000, 13001)]
    assert behind(cluster) == sorted(addresses)
    assert set(re.findall(r"changed=(\d+)", run(cluster, inventory, CHANGE))) == {"0"}


def test_only_one_process_ever_installed_or_migrated(cluster: Cluster) -> None:
    logs = [cluster.on(node, "journalctl -u 'nocobase-*' -o cat") for node in NODES]
    words = [re.findall(r"pid \d+ (installing|migrating .*)", log) for log in logs]
    assert words == [["installing"], []]


def test_containers_for_background_work_stand_beside(cluster: Cluster) -> None:
    inventory = changed(cluster, "mixed.yml", node2=BACKGROUND)
    run(cluster, inventory, CHANGE)
    assert cluster.on("node2", "systemctl list-units --no-legend 'nocobase-*'") == ""
    names = cluster.on("node2", "docker ps --format '{{.Names}}'").split()
    assert sorted(names) == [f"nocobase-{cluster.name}", f"nocobase-{cluster.name}.2"]
    for port in (13000, 13001):
        assert ask(f"http://{cluster.address('node2')}:{port}/api/__health_check") == "ok"
    assert behind(cluster) == [f"{cluster.address('node1')}:13000"]
    assert set(re.findall(r"changed=(\d+)", run(cluster, inventory, CHANGE))) == {"0"}


def test_a_dying_app_is_told_with_its_log_and_no_other_is_started(cluster: Cluster) -> None:
    before = cluster.on("node2", "docker inspect -f '{{.State.StartedAt}}' $(docker ps -q | sort)")
    data = yaml.safe_load(cluster.inventory.with_name("mixed.yml").read_text())
    data["all"]["vars"]["nocobase"]["env"] = {"SAMPLE_FAULT": "die-at-start"}
    broken = cluster.inventory.with_name("broken.yml")
    broken.write_text(yaml.safe_dump(data))
    runbook = cluster.home / "own.yml"
    runbook.write_text(CHANGE)
    done = cluster.nbops("run", str(runbook), "-i", str(broken))
    assert done.returncode == 1
    assert "ended with status 1" in done.stdout
    assert "dying: SAMPLE_FAULT=die-at-start" in done.stdout
    after = cluster.on("node2", "docker inspect -f '{{.State.StartedAt}}' $(docker ps -q | sort)")
    assert after == before
    run(cluster, cluster.inventory.with_name("mixed.yml"), CHANGE)


def test_a_new_version_is_made_ready_beside_the_old_and_switched_to(cluster: Cluster) -> None:
    data = yaml.safe_load(cluster.inventory.read_text())
    data["all"]["vars"]["nocobase"]["version"] = "2.2.16"
    upgraded = cluster.inventory.with_name("upgraded.yml")
    upgraded.write_text(yaml.safe_dump(data))
    run(cluster, cluster.inventory, CHANGE)
    run(cluster, upgraded, PULL)
    for node in NODES:
        there = cluster.on(
            node, "find /opt/nocobase/apps -maxdepth 1 -type l -printf '%f '"
        ).split()
        assert sorted(there) == ["2.2.15", "2.2.16"]
        assert version(cluster, node) == "2.2.15"
    run(cluster, upgraded, STOP.replace("node1", "app") + CHANGE)
    assert [version(cluster, node) for node in NODES] == ["2.2.16", "2.2.16"]


def version(cluster: Cluster, node: str) -> str:
    answer = ask(f"http://{cluster.address(node)}:13000/api/app:getInfo")
    return str(answer["data"]["version"])


def test_a_bare_host_gets_what_it_lacks(cluster: Cluster) -> None:
    plain = changed(cluster, "plain.yml", package=None)
    assert "skipped" in run(cluster, plain, BOOTSTRAP)
    inventory = changed(cluster, "bare.yml", package=None, bootstrap=True)
    runbook = cluster.home / "own.yml"
    done = cluster.nbops("run", str(runbook), "-i", str(inventory))
    assert done.returncode == 1
    assert "its package sources have no npm" in done.stdout
    cluster.on("node2", PACKAGE_SOURCE)
    run(cluster, inventory, BOOTSTRAP)
    assert cluster.on("node2", "npm --version").strip() == "9.2.0"
    assert "changed=0" in run(cluster, inventory, BOOTSTRAP)
