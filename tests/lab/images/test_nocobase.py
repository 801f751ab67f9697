"""The real NocoBase from its images, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT_ACCOUNT, App, Boxes, Database, app_of

pytestmark = [pytest.mark.lab, pytest.mark.nocobase]

START = 180


@pytest.fixture
def nocobase(boxes: Boxes, unpacked: Path) -> App:
    return app_of("nocobase", boxes, unpacked)


def columns(database: Database) -> list[str]:
    return database.query(
        "SELECT is_nullable FROM information_schema.columns "
        "WHERE table_name = 'issuedTokens' AND column_name = 'issuedBy'"
    )


def test_an_upgrade_migrates_and_the_version_before_cannot_go_on_with_its_database(
    nocobase: App, postgres: Callable[[str], Database], tmp_path: Path
) -> None:
    database = postgres("nocobase")
    storage = tmp_path / "storage"
    storage.mkdir()
    root = {"INIT_ROOT_EMAIL": ROOT_ACCOUNT["account"], "INIT_ROOT_PASSWORD": "admin123"}

    old = nocobase.start("2.2.15", database, storage=storage, **root)
    assert any(word.startswith("load plugin [") for word in old.until("ok", START))
    assert old.version() == "2.2.15"
    assert old.get("/api/auth:check", old.sign_in())[0] == 200
    assert columns(database) == []
    assert old.box.stop() == 0

    failing = nocobase.start("2.2.16", database, storage=storage, LAB_FAULT="die-in-migration")
    assert any("fails on purpose" in word for word in failing.until("APP_ERROR", START))
    assert failing.box.stop() == 0
    assert database.query('SELECT value FROM "applicationVersion"') == ["2.2.15"]

    new = nocobase.start("2.2.16", database, storage=storage)
    new.until("ok", START)
    assert new.version() == "2.2.16"
    assert new.get("/api/auth:check", new.sign_in())[0] == 200
    assert columns(database) == ["NO"]
    issuers = database.query('SELECT "issuedBy" FROM "issuedTokens" ORDER BY "signInTime"')
    assert issuers == ["2.2.15", "2.2.16"]
    assert database.query('SELECT value FROM "applicationVersion"') == ["2.2.16"]
    assert new.box.stop() == 0

    again = nocobase.start("2.2.15", database, storage=storage)
    again.until("ok", START)
    assert again.post("/api/auth:signIn", ROOT_ACCOUNT)[0] == 500
