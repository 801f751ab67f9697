"""Preflight on real machines: what is wrong is found at once, and nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.cluster import Cluster

pytestmark = pytest.mark.lab

MARK = "touch /tmp/mark; sleep 0.1"
LEFT = (
    "find / -xdev -newer /tmp/mark -type f -not -path '/proc/*' -not -path '/sys/*'"
    " -not -path '/var/log/*' -not -path '/run/*' -not -path '/var/lib/postgresql/*'"
    " -not -path '/var/lib/systemd/*' -not -path '/var/lib/redis/*' 2>/dev/null | sort"
)
STRANGER = "systemd-run -q --unit=shop openssl s_server -accept 13000 -nocert -quiet"
CLOCK = r"""#!/bin/sh
case "$1" in
    +%s.%N) exec /usr/bin/date -d '1 hour' "$1" ;;
    +%z) echo +0800 ;;
    *) exec /usr/bin/date "$@" ;;
esac
"""
PLUGIN = "/usr/libexec/docker/cli-plugins/docker-compose"
LOCK = '{"run": "20260101T000000Z-dead00", "owner": "ann@desk", "command": "upgrade", "since": "x"}'


@pytest.fixture(scope="module")
def ready(sample: Cluster) -> Cluster:
    done = sample.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    return sample


@contextmanager
def spoilt(cluster: Cluster, host: str, do: str, undo: str) -> Iterator[None]:
    cluster.on(host, do)
    try:
        yield
    finally:
        cluster.on(host, undo)


def check(cluster: Cluster, inventory: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = cluster.nbops("check", str(inventory), "--json", *options)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def told(document: dict[str, Any]) -> list[str]:
    return [
        f"{one['host']} {one['level']} {one['what']} → {one['remedy']}"
        for one in document["findings"]
    ]


def holds(findings: list[str], *wanted: str) -> None:
    missing = [words for words in wanted if not any(words in one for one in findings)]
    assert not missing, "\n".join(["not found:", *missing, "found:", *findings])


def test_a_cluster_that_is_ready_is_proven_so_and_left_as_it_is(ready: Cluster) -> None:
    hosts = ("node1", "lb", "db")
    for host in hosts:
        ready.on(host, MARK)
    code, document = check(ready, ready.inventory)
    assert code == 0
    assert document["problems"] == 0
    holds(told(document), "is the same on node1, node2, node3, and as the inventory says")
    for host in hosts:
        assert ready.on(host, LEFT) == ""
    assert "nothing stands in the way" in ready.nbops("check", str(ready.inventory)).stdout


def test_everything_that_is_wrong_on_machines_is_told_at_once(ready: Cluster) -> None:
    settings = yaml.safe_load(ready.inventory.read_text())["all"]["vars"]["nocobase"]
    image = f"{settings['image']}:{settings['version']}"
    storage = settings["storage"]["path"]
    lock = f"/var/lib/nbops/{ready.name}/lock"
    clock = f"cat >/usr/local/bin/date <<'X'\n{CLOCK}X\nchmod +x /usr/local/bin/date"
    other = f"c=$(docker create {image}) && docker commit $c {image} && docker rm $c"
    again = f"docker rmi -f {image} >/dev/null; docker pull -q {image}"
    spoiling = [
        (
            "node1",
            f"docker stop nocobase-{ready.name} && {STRANGER}",
            f"systemctl stop shop; docker start nocobase-{ready.name}",
        ),
        ("node1", clock, "rm /usr/local/bin/date"),
        (
            "node2",
            "systemctl stop docker.socket docker",
            f"systemctl start docker && docker start nocobase-{ready.name}",
        ),
        ("node3", f"mv {PLUGIN} {PLUGIN}.off", f"mv {PLUGIN}.off {PLUGIN}"),
        ("node3", other, again),
        ("node3", f"mount -t tmpfs none {storage}", f"umount {storage}"),
        (
            "db",
            "mkdir -p /var/backups && mount -t tmpfs -o size=40m none /var/backups",
            "umount /var/backups",
        ),
        (
            "db",
            "mv /usr/bin/pg_dump /usr/bin/pg_dump.off",
            "mv /usr/bin/pg_dump.off /usr/bin/pg_dump",
        ),
        (
            "lb",
            f"cp {lock} /root/lock && printf '1\\nheld\\n%s\\n' '{LOCK}' >{lock} &&"
            f" touch -d '1 hour ago' {lock}",
            f"cp /root/lock {lock}; rm /root/lock",
        ),
        (
            "cache",
            "iptables -I INPUT -p tcp --dport 6379 -j DROP",
            "iptables -D INPUT -p tcp --dport 6379 -j DROP",
        ),
    ]
    with ExitStack() as stack:
        for host, do, undo in spoiling:
            stack.enter_context(spoilt(ready, host, do, undo))
        code, document = check(ready, ready.inventory)
        shown = ready.nbops("check", str(ready.inventory))
    findings = told(document)
    assert code == 1
    assert shown.returncode == 1
    holds(
        findings,
        "node1 problem port 13000, for the app, is taken by `openssl` (shop.service)"
        " → `systemctl stop shop.service`",
        "node1 problem its clock is 60 min ahead",
        "node1 note its time zone is +0800",
        "node2 problem Docker does not run → `systemctl enable --now docker`",
        "node3 problem Docker Compose is not there, and version 2 is needed",
        f"node3 note {image} is another image here than in the present release",
        f"node3 problem the shared storage {storage} is a folder of this host's own disk (tmpfs)",
        "db problem only 40 MiB are free on /var/backups, and 1024 are needed (1024 for backups)",
        "db problem `pg_dump` is not installed, so no backup can be made",
        "lb warning `upgrade` of ann@desk holds the cluster (run 20260101T000000Z-dead00), and",
        ":6379: cannot be reached: nothing answers (a firewall?) → let 6379/tcp through",
    )
    assert "  problem  Docker does not run" in shown.stdout
    done = ready.deploy()
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_is_wrong_in_the_inventory_is_told_at_once(ready: Cluster) -> None:
    data = yaml.safe_load(ready.inventory.read_text())
    settings = data["all"]["vars"]["nocobase"]
    (ready.inventory.parent / "wrong").write_text("wrong-pass-word\n")
    (ready.inventory.parent / "wrong").chmod(0o600)
    settings["version"] = "2.2.14"
    settings["database"] |= {"managed": False, "password": {"file": "wrong"}}
    settings["redis"] = {
        "url": f"redis://{ready.address('cache')}:6379",
        "password": {"file": "wrong"},
    }
    settings["storage"]["path"] = "/srv/not-there"
    settings["secrets"]["app_key"] = {"file": "wrong"}
    ghost = ready.address("lb").rpartition(".")[0] + ".250"
    data["all"]["children"]["app"]["hosts"]["ghost"] = {"ansible_host": ghost}
    other = ready.inventory.with_name("wrong.yml")
    other.write_text(yaml.safe_dump(data))
    code, document = check(ready, other)
    assert code == 4
    assert document["unusable"] == ["ghost"]
    holds(
        told(document),
        "ghost problem cannot be used",
        "the present release is 2.2.15: NocoBase cannot go back",
        ":2.2.14 is not here and cannot be pulled: ",
        "the database does not let the app in from node1, node2, node3: password authentication",
        "has no password, and one is given → leave `redis.password` out",
        "node2 problem the shared storage /srv/not-there is not there → mount it on every node",
        "has another APP_KEY than `secrets.app_key` gives: all users would be signed out",
    )
    assert "wrong-pass-word" not in json.dumps(document)


def test_a_cluster_built_by_hand_is_taken_over_with_adopt_only(ready: Cluster) -> None:
    name = f"nocobase-{ready.name}"
    variables = "'{{range .Config.Env}}{{println .}}{{end}}'"
    build = (
        f"docker inspect {name} --format {variables} | grep = | grep -v ^PATH= >/root/hand.env;"
        f" image=$(docker inspect {name} --format '{{{{.Config.Image}}}}');"
        f" docker rm -f {name} >/dev/null; rm -rf /opt/nocobase;"
        " docker run -d --name app-1 --restart always --env-file /root/hand.env"
        " -p 13000:13000 -v /srv/nocobase/storage:/app/nocobase/storage $image"
    )
    for host in ("node1", "node2", "node3"):
        ready.on(host, build)
    for host in ("node1", "node2", "node3", "lb", "db", "cache"):
        ready.on(host, f"rm -rf /var/lib/nbops/{ready.name}/releases")
    refused = ready.deploy()
    assert refused.returncode == 1, refused.stdout
    assert "a NocoBase that nbops did not deploy is there (`app-1` on node1" in refused.stdout
    assert "`nbops deploy --adopt`" in refused.stdout
    assert "Up" in ready.on("node1", "docker ps --filter name=app-1 --format '{{.Status}}'")

    fault = ready.edited(
        "fault.yml", "all", "vars", "nocobase", "env", value={"SAMPLE_FAULT": "die-at-start"}
    )
    failed = ready.nbops("deploy", str(fault), "--adopt")
    assert failed.returncode == 3, failed.stdout + failed.stderr
    assert "the database nocobase keeps what the app wrote there" in failed.stdout
    look = "docker ps -a --format '{{.Names}} {{.State}}'; ls -d /opt/nocobase || true"
    policy = "docker inspect app-1 --format '{{.HostConfig.RestartPolicy.Name}}'"
    for host in ("node1", "node2", "node3"):
        assert ready.on(host, look) == "app-1 running\n"
        assert ready.on(host, policy) == "always\n"

    done = ready.deploy("--adopt")
    assert done.returncode == 0, done.stdout + done.stderr
    states = ready.on("node2", "docker ps -a --format '{{.Names}} {{.State}}' | sort")
    assert states.splitlines() == ["app-1 exited", f"nocobase-{ready.name} running"]
    again = ready.deploy()
    assert "nothing changed" in again.stdout, again.stdout
    for host in ("node1", "node2", "node3"):
        ready.on(host, "docker rm -f app-1; rm -f /root/hand.env")
