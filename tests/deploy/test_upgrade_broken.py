"""Upgrades that go wrong in every way that was thought of: the old version serves again."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.deploy.upgrading import NEW, OLD, Upgrading

pytestmark = [pytest.mark.lab, pytest.mark.series]

BACKUPS = "/var/backups/nocobase"


def undone(old: Upgrading, *words: str, **how: Any) -> None:
    """An upgrade ends with exit code 3, and everything is as before."""
    before = old.state()
    old.add("written before")
    with old.watched() as seen:
        told = old.upgrade(**how)
    told.ended(3, f"NocoBase {OLD} serves as before", *words)
    seen.check_window(OLD, OLD)
    assert {"written before", *seen.notes} <= old.notes()
    assert old.state() == before


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("die-at-start", "`Wait until it serves` failed on node1"),
        ("die-after-healthy", "does not serve"),
        ("wrong-version", f"it serves 0.0.1, not {NEW}"),
    ],
)
def test_a_broken_image_is_taken_back(old: Upgrading, fault: str, why: str) -> None:
    undone(old, why, inventory=old.broken_by(fault))


def test_a_verification_of_the_users_own_that_fails(old: Upgrading) -> None:
    with old.own_runbook("verify.yml", [{"name": "Shop is open", "command": "false"}]):
        undone(old, "`Shop is open` failed on node1")


def test_a_disk_that_is_full_before_the_dump_is_whole(old: Upgrading) -> None:
    with ballast(old), small_disk(old):
        undone(old, "`Dump, and check the dump` failed on db")
        assert old.cluster.on("db", f"find {BACKUPS} -type f") == ""


def test_a_database_that_refuses_the_dump(old: Upgrading) -> None:
    old.sql("CREATE TABLE held (number integer)")
    query = "BEGIN; LOCK TABLE held; SELECT pg_sleep(600)"
    old.cluster.on(
        "db",
        "systemd-run -q --collect --unit=holder --uid=postgres --working-directory=/"
        f" psql -d nocobase -c '{query}'",
    )
    try:
        undone(old, "`Dump, and check the dump` failed on db", "canceling statement")
    finally:
        old.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE '%LOCK TABLE held%' AND pid <> pg_backend_pid()"
        )
        old.sql("DROP TABLE held")


def test_further_nodes_that_all_fail_to_start(old: Upgrading) -> None:
    with old.own_runbook("verify.yml", images_go("node2", "node3")):
        undone(old, "only 1 of 3 nodes serve (without node2, node3), and 2 must")


def test_one_further_node_that_fails_is_left_out(old: Upgrading) -> None:
    with old.watched() as seen, old.own_runbook("verify.yml", images_go("node3")):
        told = old.upgrade()
    told.ended(1, f"node3 did not come up with {NEW}", f"NocoBase {NEW} serves")
    seen.check_window(OLD, NEW)
    containers = old.cluster.on("node3", "docker ps --format '{{.Image}}'")
    assert containers == ""
    node3 = old.cluster.address("node3")
    for balancer in ("lb", "lb2"):
        assert f"server {node3}" not in old.cluster.on(balancer, "cat /etc/nginx/conf.d/nbops-*")
    with old.watched() as seen:
        where = old.with_setting("version", value=NEW)
        old.run("deploy", str(where)).ended(0)
    seen.check_steady(NEW)
    assert old.version(f"http://{node3}:13000/api") == NEW


def test_a_node_that_was_left_out_gets_requests_again_when_the_upgrade_is_undone(
    old: Upgrading,
) -> None:
    before = old.state()
    left_out = f"server {old.cluster.address('node3')}"
    with old.own_runbook("verify.yml", images_go("node3")):
        words = ("upgrade", str(old.cluster.inventory), "--version", NEW, "--plain")
        told = old.stopped_at("Let visitors in again", signal.SIGINT, *words)
        told.ended(130, "nbops abort")
        for balancer in ("lb", "lb2"):
            assert left_out not in old.cluster.on(balancer, "cat /etc/nginx/conf.d/nbops-*")
        old.run("abort", told.name).ended(0)
    assert old.state() == before


def test_an_image_that_a_node_cannot_have_is_found_before_the_window(old: Upgrading) -> None:
    before = old.state()
    settings = yaml.safe_load(old.cluster.inventory.read_text())["all"]["vars"]["nocobase"]
    registry = settings["image"].split("/")[0].split(":")[0]
    wall = f"OUTPUT -d {registry} -p tcp -j REJECT"
    old.cluster.on("node2", forget_image(settings["image"]))
    old.cluster.on("node2", f"iptables -A {wall}")
    try:
        with old.watched() as seen:
            told = old.upgrade()
    finally:
        old.cluster.on("node2", f"iptables -D {wall}")
    told.ended(1, "node2", f"NocoBase {OLD} serves as before; nothing was touched")
    seen.check_steady(OLD)
    assert old.state() == before


def test_what_fails_when_visitors_are_back_undoes_nothing(old: Upgrading) -> None:
    play = {
        "hosts": "app[0]",
        "gather_facts": False,
        "tasks": [{"name": "Tell the others", "command": "false"}],
    }
    with old.own_runbook("hooks/after-upgrade.yml", [play]), old.watched() as seen:
        told = old.upgrade()
    told.ended(1, f"NocoBase {NEW} serves; users work with it already, so nothing was undone")
    seen.check_window(OLD, NEW)
    assert old.lock() == "free"


def images_go(*nodes: str) -> list[dict[str, Any]]:
    """Checks that take the new image away from other nodes."""
    take = {
        "name": "Take the image away",
        "shell": forget_image("{{ nocobase.image }}"),
        "delegate_to": "{{ item }}",
        "loop": list(nodes),
    }
    return [take]


def forget_image(image: str) -> str:
    return f"docker image rm -f {image}:{NEW} 2>&1 || :"


@contextmanager
def ballast(old: Upgrading) -> Iterator[None]:
    """A table that takes a second or more to dump, and that packs badly."""
    old.sql(
        "CREATE TABLE ballast AS SELECT number, (SELECT string_agg(md5(number || '.' || part), '')"
        " FROM generate_series(1, 30) AS part) AS text FROM generate_series(1, 60000) AS number"
    )
    try:
        yield
    finally:
        old.sql("DROP TABLE ballast")


@contextmanager
def small_disk(old: Upgrading) -> Iterator[None]:
    """A disk of its own for backups, which has hardly any room left as soon as a dump is being
    written."""
    shrink = (
        f"until ls -d {BACKUPS}/*/.partial-* >/dev/null 2>&1; do sleep 0.02; done;"
        f" until mount -o remount,size=$(($(df --output=used -B1 {BACKUPS} | tail -1) + 4000000))"
        f" {BACKUPS}; do :; done"
    )
    db = old.cluster
    db.on("db", f"mkdir -p {BACKUPS} && mount -t tmpfs -o size=1300M tmpfs {BACKUPS}")
    try:
        # A file, because systemd reads `$` in a command line itself.
        db.on("db", f"printf %s {shlex.quote(shrink)} > /run/shrink")
        db.on("db", "systemd-run -q --collect --unit=shrink bash /run/shrink")
        yield
    finally:
        db.on("db", f"systemctl stop shrink 2>/dev/null; rm /run/shrink; umount {BACKUPS}")
