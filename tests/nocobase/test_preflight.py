"""Each obstacle on a host is found by itself, with what to do about it."""

from __future__ import annotations

import pytest

from nbops.nocobase.preflight_host import numbers
from nbops.nocobase.preflight_model import Finding, Level, Look, look_of, read_look
from nbops.nocobase.preflight_shared import all_findings
from tests.nocobase.looks import IMAGE, Row, found, look, node, situation, told


def test_a_cluster_that_is_ready_gives_no_finding() -> None:
    assert all_findings(situation()) == []


ALONE: list[tuple[str, list[Row], str]] = [
    ("not root", [("uid", "1000")], "problem this login is not root → set `ansible_become"),
    ("no docker", [("missing", "docker"), ("docker", "")], "problem `docker` is not installed"),
    ("no curl", [("missing", "curl")], "`curl` is not installed → get curl"),
    ("stopped", [("docker", "")], "problem Docker does not run → `systemctl enable --now docker`"),
    ("old docker", [("docker", "19.3.1")], "warning Docker is 19.3.1"),
    ("no compose", [("compose", "")], "problem Docker Compose is not there, and version 2"),
    ("compose 1", [("compose", "1.29.2")], "problem Docker Compose is 1.29.2"),
    ("compose v1", [("compose", "v1.29.2")], "problem Docker Compose is v1.29.2"),
    ("memory", [("memory", "300")], "problem 300 MiB of memory for 1 app process: each takes"),
    ("tight", [("memory", "800")], "warning 800 MiB of memory for 1 app process is tight"),
    (
        "room",
        [("space", "storage", "/srv/s", "100", "/srv", "0:0", "rw")],
        "problem only 100 MiB are free on /srv, and 512 are needed (512 for storage)",
    ),
    (
        "files",
        [("space", "storage", "/srv/s", "9999", "/srv", "65536:12", "rw")],
        "problem only 12 more files (inodes) can be made where /srv/s is",
    ),
    (
        "read-only",
        [("space", "nbops", "/var/lib/nbops", "9999", "/var", "9:9", "ro")],
        "problem /var/lib/nbops cannot be written: /var is read-only → `mount -o remount,rw /var`",
    ),
    (
        "a program",
        [("port", "13000", "python3", "77", "", "")],
        "problem port 13000, for the app, is taken by `python3` (process 77) → stop it",
    ),
    (
        "a service",
        [("port", "13000", "node", "77", "shop.service", "")],
        "is taken by `node` (shop.service) → `systemctl stop shop.service`",
    ),
    (
        "a container",
        [("port", "13000", "docker-proxy", "77", "docker.service", "shop ")],
        "is taken by the container `shop` (docker.service) → `docker stop shop`",
    ),
    (
        "another cluster",
        [("port", "13000", "docker-proxy", "77", "", "nocobase-other other")],
        "is taken by the container `nocobase-other`",
    ),
    (
        "a container that is just starting",
        [("port", "13000", "docker-proxy", "7", "docker.service", "")],
        "→ `docker ps` shows what publishes 13000, or set another port",
    ),
    ("nobody known", [("port", "13000", "", "", "", "")], "is taken by `a program`"),
    ("a file", [("storage", "file")], "problem /srv/s is a file, not a folder"),
    (
        "storage ro",
        [("storage", "nfs4", "1.2", "ro", "/srv")],
        "problem the shared storage /srv/s is mounted read-only → mount it for writing:"
        " `mount -o remount,rw /srv`",
    ),
    (
        "upgrading",
        [("upgrading", "2026-11-22 23:10")],
        "warning a file .upgrading of 2026-11-22 23:10 lies in /srv/s",
    ),
]


@pytest.mark.parametrize(("rows", "words"), [one[1:] for one in ALONE], ids=[o[0] for o in ALONE])
def test_each_obstacle_is_named_alone_with_what_to_do(rows: list[Row], words: str) -> None:
    (finding,) = found(*rows)
    assert finding.startswith("node2 ")
    assert words in finding


@pytest.mark.parametrize(
    "row",
    [
        ("port", "13000", "docker-proxy", "77", "docker.service", "nocobase-demo demo"),
        ("port", "13000", "docker-proxy", "77", "", "nocobase-demo-2 demo"),
        ("memory", "unknown"),
        ("docker", "20.10.0"),
        ("compose", "v2.0.0"),
        ("compose", "5.1"),
    ],
)
def test_what_is_ours_or_good_enough_is_no_finding(row: Row) -> None:
    assert found(row) == []


def test_a_storage_that_is_not_there_is_told() -> None:
    (finding,) = found(without=["storage"])
    assert "problem the shared storage /srv/s is not there → mount it on every node" in finding


def test_needs_on_one_disk_are_added_up() -> None:
    rows = [
        ("space", name, path, "3000", "/", "0:0", "rw")
        for name, path in [("docker", "/var/lib/docker"), ("storage", "/srv/s"), ("nbops", "/x")]
    ]
    (finding,) = found(*rows, without=["image"])
    assert "only 3000 MiB are free on /, and 3648 are needed" in finding
    assert "3072 for the image" in finding
    assert "512 for storage" in finding


def test_an_image_that_is_there_needs_no_room() -> None:
    assert found(("space", "docker", "/var/lib/docker", "10", "/d", "0:0", "rw")) == []


@pytest.mark.parametrize(
    ("code", "body", "words"),
    [
        (
            "404",
            '{"message":"manifest unknown"}',
            "cannot be pulled: manifest unknown → check the version",
        ),
        ("401", '{"message":"no basic auth"}', "no basic auth → set `runtime.registry`"),
        ("403", '{"message":"denied"}', "denied → set `runtime.registry`"),
        ("500", '{"message":"dial tcp: refused"}', "dial tcp: refused → check that this host"),
        ("000", "", "the registry did not answer in time"),
        ("", "", "the registry did not answer in time"),
        ("502", "<html>", "cannot be pulled: 502"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_told(code: str, body: str, words: str) -> None:
    (finding,) = found(("registry", code, body), without=["image"])
    assert f"node2 problem {IMAGE} is not here and cannot be pulled" in finding
    assert words in finding


def test_what_bootstrap_installs_is_only_a_note() -> None:
    needs = {"node2": node("node2", bootstrap=True)}
    rows = [("missing", "docker"), ("docker", ""), ("compose", "")]
    assert [one.split()[1] for one in found(*rows, needs=needs, without=["image"])] == ["note"]
    rows = [("compose", "")]
    assert [one.split()[1] for one in found(*rows, needs=needs)] == ["note"]


def test_bootstrap_on_another_system_is_refused() -> None:
    needs = {"node2": node("node2", bootstrap=True)}
    (finding,) = found(("os", "rocky", "9"), needs=needs)
    assert "`runtime.bootstrap` installs on Debian and Ubuntu, and this is rocky" in finding


@pytest.mark.parametrize(("version", "count"), [("v18.20.1", 1), ("v20.19.2", 0), ("v22.1", 0)])
def test_node_js_must_be_new_enough_where_pm2_runs(version: str, count: int) -> None:
    findings = found(("node", version), needs={"node2": node("node2", runtime="pm2")})
    assert len(findings) == count
    assert all("Node.js is v18.20.1, and the app needs 20 or newer" in one for one in findings)


def test_as_many_processes_as_cores_need_as_much_memory() -> None:
    needs = {"node2": node("node2", processes=-1)}
    (finding,) = found(("memory", "2000"), ("cores", "4"), needs=needs)
    assert "2000 MiB of memory for 4 app processes is tight" in finding
    (finding,) = found(("memory", "1000"), ("cores", "4"), needs=needs)
    assert "problem" in finding


def test_a_missing_tool_for_backups_is_told() -> None:
    (finding,) = found(("tool", "pg_dump", ""), on="db")
    assert "db problem `pg_dump` is not installed, so no backup can be made" in finding
    assert "`apt-get install postgresql-client`" in finding


def test_all_findings_of_all_hosts_are_told_at_once_the_worst_first() -> None:
    plain = situation()
    rows = {
        "node1": [*plain.looks["node1"].rows, ("upgrading", "x"), ("missing", "curl")],
        "db": [*plain.looks["db"].rows, ("port", "5432", "mysqld", "1", "", "")],
    }
    seen = situation({host: look(part) for host, part in rows.items()})
    assert [one.split()[:2] for one in told(all_findings(seen))] == [
        ["node1", "problem"],
        ["node1", "warning"],
        ["db", "problem"],
    ]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("v20.19.2", (20, 19, 2)),
        ("pg_dump (PostgreSQL) 17.2 (Debian 17.2-1)", (17, 2)),
        ("26.1.5+dfsg1", (26, 1, 5)),
        ("", ()),
        ("none", ()),
    ],
)
def test_numbers_are_read_from_what_programs_say(text: str, want: tuple[int, ...]) -> None:
    assert numbers(text) == want


def test_a_look_is_kept_as_plain_data_and_read_again() -> None:
    seen = read_look("uid\t0\nport\t80\tnginx\t1\t\t\nnoise\n", 1.0, 2.0)
    assert seen.rows == (("uid", "0"), ("port", "80", "nginx", "1", "", ""))
    assert look_of(seen.as_fact()) == seen
    assert seen.one("gone") is None
    assert Look().text("uid") == ""


def test_a_finding_is_told_in_one_sentence() -> None:
    assert str(Finding("h", Level.NOTE, "it is so", "do this")) == "it is so: do this"
    assert str(Finding("h", Level.NOTE, "it is so")) == "it is so"
