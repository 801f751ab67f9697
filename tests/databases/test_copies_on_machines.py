"""Backups and restores with real servers."""

from __future__ import annotations

import pytest

from tests.databases.bench import Bench

pytestmark = pytest.mark.lab


def test_a_backup_holds_the_app_and_its_sub_applications(bench: Bench) -> None:
    backup = bench.backup()
    assert backup["version"] == "2.2.15"
    parts = {part["database"]: part for part in backup["parts"]}
    assert list(parts) == ["nocobase", "shop"]
    assert parts["nocobase"]["tables"] == (4 if bench.kind == "postgres" else 3)
    assert parts["shop"]["tables"] == 1
    folder = f"/var/backups/{bench.kind}/*/{backup['name']}/database"
    sums = bench.machines.on("db", f"cd {folder} && sha256sum *.dump *.gz 2>/dev/null || true")
    assert all(part["sha256"] in sums for part in parts.values())
    modes = bench.machines.on("db", f"stat -c %a {folder} {folder}/*").split()
    assert set(modes) == {"700", "600"}


def test_a_restore_brings_everything_back_and_keeps_what_it_replaces(bench: Bench) -> None:
    name = bench.backup()["name"]
    bench.sql("nocobase", "INSERT INTO notes VALUES (9999, 'written since')")
    bench.sql("shop", "DELETE FROM goods")
    restore, swap = {"database_restore": name}, {"database_swap": name}
    ends = bench.run(restore, restore, swap, swap, restore, {"database_kept": None})
    assert [end["status"] for end in ends[:5]] == ["changed", "ok", "changed", "ok", "ok"]
    now, (kept, kept_shop) = ends[2]["result"]["database"], ends[2]["result"]["kept"]
    assert bench.sql(now, "SELECT count(*) FROM notes") == "2000"
    assert bench.sql(kept, "SELECT count(*) FROM notes") == "2001"
    assert bench.sql(now, "SELECT count(*) FROM short_notes") == "2000"
    shop = "shop" if bench.kind == "postgres" else _database_of_shop(bench, now)
    assert bench.sql(shop, "SELECT count(*) FROM goods") == "2"
    assert bench.sql(kept_shop, "SELECT count(*) FROM goods") == "0"
    assert {one["name"] for one in ends[5]["result"]["kept"]} == {kept, kept_shop}
    bench.fresh()


def _database_of_shop(bench: Bench, now: str) -> str:
    asked = "SELECT json_value(options, '$.database.database') FROM applications WHERE name='shop'"
    assert bench.sql("nocobase", asked) == "NULL"
    return bench.sql(now, asked)


def test_a_swap_can_be_taken_back(bench: Bench) -> None:
    name = bench.backup()["name"]
    bench.sql("nocobase", "INSERT INTO notes VALUES (9999, 'written since')")
    back = {"database_swap": {"backup": name, "state": "back"}}
    ends = bench.run({"database_restore": name}, {"database_swap": name}, back, back)
    assert [end["status"] for end in ends] == ["changed", "changed", "changed", "ok"]
    assert ends[2]["result"]["database"] == "nocobase"
    assert bench.sql("nocobase", "SELECT count(*) FROM notes") == "2001"
    bench.fresh()
