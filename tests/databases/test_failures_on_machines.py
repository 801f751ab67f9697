"""Backups that must not be taken for good ones, and restores that must not be begun."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from nbops.nocobase.databases.copies import Access, Server
from nbops.nocobase.databases.kinds import copies
from tests.databases.bench import Bench

pytestmark = pytest.mark.lab


def failure(bench: Bench, *tasks: dict[str, Any]) -> str:
    """Why the last of these tasks failed."""
    done = bench.tried(*tasks)
    assert done.returncode != 0, done.stdout
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [one for one in events if one["kind"] == "step_ended"]
    problems = [str(one.get("problems", "")) for one in events if one["kind"] == "error"]
    return " ".join([*(end["message"] for end in ends), *problems])


def ends_well(bench: Bench, script: str) -> bool:
    """Whether a script ends with status 0 on the machine."""
    told = bench.machines.on("db", f"if (\n{script}\n) >/dev/null 2>&1; then echo well; fi")
    return told.strip() == "well"


def test_a_dump_without_its_end_is_no_dump(bench: Bench) -> None:
    name = bench.backup()["name"]
    kind = copies(bench.kind)
    folder = f"/var/backups/{bench.kind}/*/{name}/database"
    (path,) = bench.machines.on("db", f"ls {folder}/database.*").split()
    ending = path.rpartition("/")[2].partition(".")[2]
    assert ends_well(bench, kind.check_script(path))
    bench.machines.on("db", f"head -c $(($(stat -c %s {path}) * 3 / 4)) {path} > /tmp/cut.{ending}")
    assert not ends_well(bench, kind.check_script(f"/tmp/cut.{ending}"))


def test_a_disk_that_is_full_is_a_failure(bench: Bench) -> None:
    port = 5432 if bench.kind == "postgres" else 3306
    server = Server(17, 17, {})
    bench.machines.on("db", "mkdir -p /mnt/small && mount -t tmpfs -o size=8k tmpfs /mnt/small")
    try:
        script = copies(bench.kind).dump_script(Access(port), "nocobase", "/mnt/small/full", server)
        assert not ends_well(bench, script)
        assert ends_well(bench, script.replace("/mnt/small/full", "/tmp/roomy"))
    finally:
        bench.machines.on("db", "umount /mnt/small")


def test_a_backup_that_was_changed_is_refused(bench: Bench) -> None:
    name = bench.backup()["name"]
    folder = f"/var/backups/{bench.kind}/*/{name}/database"
    bench.machines.on("db", f"for one in {folder}/database.*; do echo x >> $one; done")
    assert "is not what it was when it was made" in failure(bench, {"database_restore": name})
    assert bench.databases() == ["nocobase", "shop"]


def test_what_a_killed_run_left_is_no_backup_and_goes(bench: Bench) -> None:
    left = f"/var/backups/{bench.kind}/left/.partial-20250101T000000Z-aaaaaa-manual-database"
    cluster = bench.machines.on("db", f"ls /var/backups/{bench.kind}").split()[0]
    left = left.replace("/left/", f"/{cluster}/")
    bench.machines.on("db", f"mkdir -p {left} && echo half > {left}/database.dump")
    bench.backup()
    assert not ends_well(bench, f"ls -d {left}")


def test_a_database_that_refuses_the_dump_leaves_no_backup(bench: Bench) -> None:
    before = bench.machines.on("db", f"find /var/backups/{bench.kind} | sort")
    if bench.kind == "postgres":
        path = bench.sql("nocobase", "CHECKPOINT; SELECT pg_relation_filepath('notes')")
        bench.machines.on("db", f"rm /var/lib/postgresql/17/main/{path}")
    else:
        bench.sql("nocobase", "CREATE TABLE gone (a int); CREATE VIEW broken AS SELECT a FROM gone")
        bench.sql("nocobase", "DROP TABLE gone")
    assert "the backup of the database nocobase failed" in failure(
        bench, {"database_backup": "upgrade"}
    )
    after = bench.machines.on("db", f"find /var/backups/{bench.kind} | sort")
    assert after == before
    bench.fresh()


def test_a_restore_that_fails_half_way_leaves_nothing(bench: Bench) -> None:
    if bench.kind != "postgres":
        pytest.skip("MariaDB has no extensions")
    bench.sql("nocobase", "CREATE EXTENSION pg_trgm")
    name = bench.backup()["name"]
    control = "/usr/share/postgresql/17/extension/pg_trgm.control"
    bench.machines.on("db", f"mv {control} {control}.away")
    try:
        assert "pg_trgm" in failure(bench, {"database_restore": name})
    finally:
        bench.machines.on("db", f"mv {control}.away {control}")
    assert bench.databases() == ["nocobase", "shop"]
    assert [end["status"] for end in bench.run({"database_restore": name})] == ["changed"]
    bench.fresh()


def test_tables_on_other_servers_are_found_before_and_refused(bench: Bench) -> None:
    if bench.kind != "postgres":
        pytest.skip("needs an engine that Debian packages apart")
    assert bench.run({"database_check": None})[0]["result"]["findings"] == []
    name = bench.backup()["name"]
    bench.sql(
        "nocobase",
        "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;"
        " CREATE FOREIGN TABLE sales (id int) SERVER far",
    )
    told = failure(bench, {"database_check": None})
    assert "tables are kept on other servers (sales)" in told
    assert "kept on other servers: sales" in failure(bench, {"database_restore": name})
    bench.fresh()


def test_sessions_that_come_again_and_again_do_not_stop_a_swap(bench: Bench) -> None:
    if bench.kind != "postgres":
        pytest.skip("MariaDB's databases are not renamed")
    name = bench.backup()["name"]
    password = (bench.machines.inventory.parent / "secrets" / "db_password").read_text().strip()
    address = bench.machines.address("db")
    login = f"PGPASSWORD={password} psql -h {address} -U nocobase -d nocobase"
    loop = (
        "echo $$ > /tmp/looping; while [ -e /tmp/looping ]; do"
        f" {login} -c 'SELECT pg_sleep(1)'; done"
    )
    bench.machines.on("node1", f"setsid sh -c {shlex.quote(loop)} >/dev/null 2>&1 &")
    try:
        ends = bench.run({"database_restore": name}, {"database_swap": name})
        assert ends[1]["status"] == "changed"
    finally:
        bench.machines.on("node1", "rm -f /tmp/looping")
    assert bench.sql("nocobase", "SELECT count(*) FROM notes") == "2000"
    bench.fresh()


def test_a_swap_that_was_cut_short_goes_on_and_leaves_no_database_closed(bench: Bench) -> None:
    if bench.kind != "postgres":
        pytest.skip("MariaDB's databases are not renamed")
    name = bench.backup()["name"]
    closing = (
        "SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS false', datname) FROM pg_database"
        " WHERE datname LIKE 'nocobase%' OR datname LIKE 'shop%' \\gexec"
    )
    cut_short = {
        "shell": "cd / && runuser -u postgres -- psql -Xq -d postgres",
        "args": {"stdin": closing},
    }
    ends = bench.run({"database_restore": name}, cut_short, {"database_swap": name})
    assert ends[-1]["status"] == "changed"
    assert bench.sql("nocobase", "SELECT count(*) FROM notes") == "2000"
    assert bench.sql("", "SELECT count(*) FROM pg_database WHERE NOT datallowconn") == "1"
    ends = bench.run({"database_open": None}, {"database_swap": {"backup": name, "state": "back"}})
    assert ends[0]["result"]["opened"] == []
    bench.fresh()


def test_settings_of_an_extension_are_counted_as_they_are_dumped(bench: Bench) -> None:
    if bench.kind != "postgres":
        pytest.skip("MariaDB has no extensions")
    folder = "/usr/share/postgresql/17/extension"
    made = (
        "CREATE TABLE zones (name text); CREATE TABLE inner_state (name text);"
        " SELECT pg_extension_config_dump('zones', '');"
    )
    bench.machines.on(
        "db",
        f"printf \"default_version = '1'\\n\" > {folder}/places.control;"
        f" printf %s {shlex.quote(made)} > {folder}/places--1.sql",
    )
    try:
        bench.sql("nocobase", "CREATE EXTENSION places; INSERT INTO zones VALUES ('own')")
        name = bench.backup()["name"]
        ends = bench.run({"database_restore": name}, {"database_swap": name})
        assert [end["status"] for end in ends] == ["changed", "changed"]
        assert bench.sql("nocobase", "SELECT name FROM zones") == "own"
    finally:
        bench.fresh()
        bench.machines.on("db", f"rm {folder}/places*")
