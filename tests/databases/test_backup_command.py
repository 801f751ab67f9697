"""`nbops backup` and `nbops backups`, as their user has them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.databases.bench import Bench

pytestmark = pytest.mark.lab


def listed(bench: Bench) -> dict[str, Any]:
    done = bench.machines.nbops("backups", "-i", str(bench.inventory), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_backup_is_made_copied_listed_and_in_time_removed(bench: Bench) -> None:
    data = yaml.safe_load(bench.inventory.read_text())
    nocobase = data["all"]["vars"]["nocobase"]
    nocobase["backup"] = {
        "dir": f"/var/backups/whole-{bench.kind}",
        "keep": 2,
        "verify": "restore",
        "storage": True,
        "copy_to": ["cache"],
    }
    command = Bench(bench.machines, bench.kind, bench.inventory.with_name("whole.yml"))
    command.inventory.write_text(yaml.safe_dump(data))
    bench.machines.on(
        "node1",
        "mkdir -p /opt/nocobase /srv/nocobase/storage/plugins/shop"
        " && echo picture > /srv/nocobase/storage/picture.png",
    )
    for _ in range(3):
        done = bench.machines.nbops("backup", "-i", str(command.inventory), "--plain")
        assert done.returncode == 0, done.stdout + done.stderr
    found = listed(command)
    assert [len(found["backups"]), found["kept"]] == [2, []]
    latest = found["backups"][0]
    assert latest["hosts"] == ["db", "node1"]
    assert (latest["holds"], latest["verified"]) == (["database", "files"], "restore")
    folder = f"/var/backups/whole-{bench.kind}/{nocobase['cluster']}"
    assert bench.machines.on("cache", f"ls {folder}").split() == sorted(
        one["name"] for one in found["backups"]
    )
    sums = f"cd {folder}/{latest['name']}/database && sha256sum database.*"
    assert bench.machines.on("cache", sums) == bench.machines.on("db", sums)
    held = bench.machines.on("node1", f"tar -tzf {folder}/{latest['name']}/files/files.tar.gz")
    assert "srv/nocobase/storage/picture.png" in held.split()
    assert "node.env" not in held  # its secrets stay where they are: in the release
    assert not list(bench.machines.home.rglob("database.*"))
    assert sorted(bench.databases()) == ["nocobase", "shop"]
