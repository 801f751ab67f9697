"""A database of one kind on a lab machine, and short ways to act on it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.cluster import Cluster

# What the app itself makes (2.2.15), as far as backups look at it; and what users add.
_TABLES = {
    "postgres": """
CREATE TABLE "applicationVersion" (id int, "value" text);
INSERT INTO "applicationVersion" VALUES (1, '2.2.15');
CREATE TABLE applications (name text, options json);
INSERT INTO applications VALUES ('shop', '{"autoStart": true}'), ('never', NULL),
    ('inside', '{"dbConnType": "new_schema"}');
CREATE TABLE notes (id int PRIMARY KEY, body text);
INSERT INTO notes SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 2000) n;
CREATE VIEW short_notes AS SELECT id, left(body, 5) AS body FROM notes;
CREATE SCHEMA inside; CREATE TABLE inside.things (id int);
ALTER TABLE "applicationVersion" OWNER TO nocobase; ALTER TABLE notes OWNER TO nocobase;
""",
    "mariadb": """
CREATE TABLE applicationVersion (id int, `value` text);
INSERT INTO applicationVersion VALUES (1, '2.2.15');
CREATE TABLE applications (name varchar(50), options longtext);
INSERT INTO applications VALUES ('shop', '{"autoStart": true}'), ('never', NULL);
CREATE TABLE notes (id int PRIMARY KEY, body text);
INSERT INTO notes SELECT seq, repeat(md5(seq), 20) FROM seq_1_to_2000;
CREATE VIEW short_notes AS SELECT id, left(body, 5) AS body FROM notes;
CREATE TRIGGER shorten BEFORE INSERT ON notes FOR EACH ROW SET NEW.body = concat(NEW.body, '.');
CREATE PROCEDURE hello() SELECT 'hello';
""",
}
_SHOP = "CREATE TABLE goods (id int); INSERT INTO goods VALUES (7), (8);"


@dataclass
class Bench:
    """A database server on the machine `db`, and the inventory that names it."""

    machines: Cluster
    kind: str
    inventory: Path
    tools: str = "db"

    def fresh(self) -> None:
        """The app's database and that of its sub-application `shop`, as if just made."""
        self.run({"database_server": None})
        for name in self.databases():
            self.sql("", f"DROP DATABASE {self.quoted(name)}")
        self.run({"database_create": None})
        self.sql("nocobase", _TABLES[self.kind])
        self.sql("", "CREATE DATABASE shop")
        self.sql("shop", _SHOP)

    def quoted(self, name: str) -> str:
        """A name as this kind takes it."""
        return f'"{name}"' if self.kind == "postgres" else f"`{name}`"

    def databases(self) -> list[str]:
        """The databases that are not the server's own."""
        asked = {
            "postgres": "SELECT datname FROM pg_database WHERE NOT datistemplate"
            " AND datname <> 'postgres'",
            "mariadb": "SELECT schema_name FROM information_schema.schemata WHERE schema_name"
            " NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')",
        }[self.kind]
        return sorted(self.sql("", asked).split())

    def sql(self, database: str, text: str) -> str:
        """What the server's superuser is answered."""
        program = {
            "postgres": "cd / && runuser -u postgres -- psql -XqtA -v ON_ERROR_STOP=1 -d "
            + (database or "postgres"),
            "mariadb": f"mariadb -N -B {database}",
        }[self.kind]
        command = f"{program} <<'END_OF_SQL'\n{text}\nEND_OF_SQL"
        return self.machines.on("db", command).strip()

    def play(self, *tasks: dict[str, Any], **plays: Any) -> Path:
        """A runbook with these tasks on the host of the database's tools."""
        play = {
            "name": "test",
            "hosts": "database:app[0]",
            "gather_facts": False,
            "become": True,
            "any_errors_fatal": True,
            "tasks": [{"name": next(iter(task)), **task} for task in tasks],
            **plays,
        }
        self.machines.home.mkdir(exist_ok=True)
        path = self.machines.home / "test.yml"
        path.write_text(yaml.safe_dump([play], sort_keys=False))
        return path

    def tried(self, *tasks: dict[str, Any], options: tuple[str, ...] = ()) -> Any:
        """What came of these tasks."""
        path = self.play(*tasks)
        return self.machines.nbops("run", str(path), "-i", str(self.inventory), "--json", *options)

    def run(self, *tasks: dict[str, Any], options: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """The ends of these tasks on the host of the tools; they must go well."""
        done: subprocess.CompletedProcess[str] = self.tried(*tasks, options=options)
        assert done.returncode == 0, done.stdout + done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return [one for one in events if one["kind"] == "step_ended" and one["host"] == self.tools]

    def backup(self, reason: str = "manual") -> dict[str, Any]:
        """A backup; gives its manifest."""
        (end,) = self.run({"database_backup": reason})
        backup: dict[str, Any] = end["result"]["backup"]
        return backup
