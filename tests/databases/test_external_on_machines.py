"""A database that nbops does not run: all is done from the first node, as the app's user."""

from __future__ import annotations

import shlex

import pytest
import yaml

from tests.databases.bench import Bench

pytestmark = pytest.mark.lab

_RIGHTS = {
    "postgres": "ALTER ROLE nocobase CREATEDB",
    "mariadb": "GRANT ALL ON `nocobase%`.* TO nocobase@'{node}'",
}
_TABLES = (
    "CREATE TABLE notes (id int PRIMARY KEY, body text);"
    " INSERT INTO notes VALUES (1, 'one'), (2, 'two');"
)


def test_a_database_that_is_already_there_is_backed_up_and_restored(bench: Bench) -> None:
    machines = bench.machines
    node, db = machines.address("node1"), machines.address("db")
    bench.fresh()
    bench.sql("", f"DROP DATABASE {bench.quoted('nocobase')}")
    bench.run({"database_create": None})
    if bench.kind == "postgres":
        line = f"host all nocobase {node}/32 scram-sha-256"
        machines.on("db", f"echo '{line}' >> /etc/postgresql/17/main/pg_hba.conf")
        bench.sql("", "SELECT pg_reload_conf()")
    data = yaml.safe_load(bench.inventory.read_text())
    settings = data["all"]["vars"]["nocobase"]
    settings["database"] |= {"managed": False, "host": db}
    settings["backup"] = {"dir": f"/var/backups/far-{bench.kind}", "verify": "restore"}
    far = Bench(machines, bench.kind, bench.inventory.with_name("far.yml"), "node1")
    far.inventory.write_text(yaml.safe_dump(data))
    assert "may not create databases" in far.tried({"database_check": None}).stdout
    bench.sql("", _RIGHTS[bench.kind].format(node=node))
    far.run({"database_check": None})
    if bench.kind == "postgres":
        bench.sql("nocobase", "CREATE EXTENSION pg_trgm; CREATE EXTENSION pageinspect")
        far.run({"database_check": None})  # a trial restore will tell
        settings["backup"] |= {"verify": "list"}
        untried = Bench(machines, bench.kind, bench.inventory.with_name("untried.yml"), "node1")
        untried.inventory.write_text(yaml.safe_dump(data))
        said = untried.tried({"database_check": None}).stdout
        assert "extensions that the database has (pageinspect), so a rollback" in said
        assert "cannot be restored" in far.tried({"database_backup": None}).stdout
        bench.sql("nocobase", "DROP EXTENSION pageinspect")
        untried.run({"database_check": None})
    password = (machines.inventory.parent / "secrets" / "db_password").read_text().strip()
    login = {
        "postgres": f"PGPASSWORD={shlex.quote(password)} psql -XqtA -U nocobase -h {db} -d ",
        "mariadb": f"MYSQL_PWD={shlex.quote(password)} mariadb -N -B -u nocobase -h {db} ",
    }[bench.kind]

    def sql(database: str, text: str) -> str:
        return machines.on("node1", f"{login}{database} <<'END'\n{text}\nEND").strip()

    sql("nocobase", _TABLES)
    if bench.kind == "mariadb":
        for value in ("ON", "OFF"):
            bench.sql("", f"SET GLOBAL innodb_snapshot_isolation = {value}")
            said = far.tried({"nocobase_preflight": "look"}, {"nocobase_preflight": "judge"}).stdout
            assert ("refuses a row" in said) == (value == "ON"), said
    backup = far.backup()
    assert (backup["host"], backup["verified"]) == ("node1", "restore")
    sql("nocobase", "DELETE FROM notes")
    name = backup["name"]
    ends = far.run({"database_restore": name}, {"database_swap": name})
    now, (kept,) = ends[1]["result"]["database"], ends[1]["result"]["kept"]
    assert sql(now, "SELECT count(*) FROM notes") == "2"
    assert sql(kept, "SELECT count(*) FROM notes") == "0"
    seen = machines.on("node1", "find / -xdev -name 'f-*' -path '*nbops*' 2>/dev/null | head")
    assert seen == ""  # the file with the password went with the run
    bench.fresh()
