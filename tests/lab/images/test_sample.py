"""The sample app from its image, on real databases: what a deployment can see of it."""

from __future__ import annotations

import itertools
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import App, Boxes, Database, app_of

pytestmark = pytest.mark.lab

NUMBERS = itertools.count()


@pytest.fixture
def sample(boxes: Boxes, unpacked: Path) -> App:
    return app_of("sample", boxes, unpacked)


@pytest.fixture
def database(postgres: Callable[[str], Database]) -> Database:
    return postgres(f"sample{next(NUMBERS)}")


@pytest.fixture(params=["postgres", "mariadb"])
def either_database(request: pytest.FixtureRequest) -> Database:
    make: Callable[[str], Database] = request.getfixturevalue(request.param)
    return make(f"sample{next(NUMBERS)}")


def events(database: Database) -> list[str]:
    return database.query("SELECT event FROM lab_events ORDER BY at")


def test_a_start_goes_through_the_states_of_nocobase(sample: App, database: Database) -> None:
    seen = sample.start("2.2.15", database).until("ok")
    assert seen[0] == "refused"
    assert "APP_COMMANDING" in seen
    assert any(re.fullmatch(r"load plugin \[\w[\w-]*\], \d/7", word) for word in seen)
    assert seen[-1] == "ok"


def test_it_says_its_version_and_database_before_anybody_signs_in(
    sample: App, either_database: Database
) -> None:
    node = sample.start("2.2.15", either_database)
    node.until("ok")
    status, told = node.get("/api/app:getInfo")
    assert status == 200
    assert told["data"]["version"] == "2.2.15"
    assert told["data"]["database"] == {"dialect": either_database.env["DB_DIALECT"]}


def test_an_upgrade_moves_the_data_and_the_version_before_cannot_go_on_with_it(
    sample: App, either_database: Database
) -> None:
    old = sample.start("2.2.15", either_database)
    old.until("ok")
    token = old.sign_in()
    assert old.post("/api/notes", {"text": "title\nand body"}, token)[0] == 200
    assert old.box.stop() == 0

    new = sample.start("2.2.16", either_database)
    new.until("ok")
    notes = new.get("/api/notes", token)[1]["data"]
    assert notes == [{"id": 1, "title": "title", "body": "and body"}]
    assert new.post("/api/notes", {"text": "second"}, new.sign_in())[0] == 200
    plugins = new.get("/api/pm:list", token)[1]["data"]
    assert {(p["version"], p["enabled"]) for p in plugins if p["enabled"]} == {("2.2.16", True)}
    assert new.box.stop() == 0

    again = sample.start("2.2.15", either_database)
    again.until("ok")
    assert again.get("/api/notes", token)[0] == 500
    assert again.post("/api/auth:signIn", {"account": "nocobase", "password": "admin123"})[0] == 500
    assert events(either_database) == [
        *("starting", "installing", "installed", "started", "stopping on SIGTERM"),
        *("starting", "migrating 2.2.15 -> 2.2.16", "migrated 2.2.15 -> 2.2.16", "started"),
        "stopping on SIGTERM",
        *("starting", "migrating 2.2.16 -> 2.2.15", "migrated 2.2.16 -> 2.2.15", "started"),
    ]


def test_a_token_holds_on_another_node_only_with_the_same_key(
    sample: App, database: Database
) -> None:
    first = sample.start("2.2.15", database)
    first.until("ok")
    token = first.sign_in()
    same, other = sample.start("2.2.15", database), sample.start("2.2.15", database, APP_KEY="two")
    same.until("ok")
    other.until("ok")
    assert same.get("/api/auth:check", token)[0] == 200
    assert other.get("/api/auth:check", token)[0] == 401
    assert same.get("/api/auth:check")[0] == 401


def test_a_wrong_password_is_refused(sample: App, database: Database) -> None:
    node = sample.start("2.2.15", database, INIT_ROOT_PASSWORD="better")
    node.until("ok")
    account = {"account": "admin@nocobase.com", "password": "admin123"}
    assert node.post("/api/auth:signIn", account)[0] == 401
    assert node.post("/api/auth:signIn", {**account, "password": "better"})[0] == 200


def test_a_start_at_the_same_version_skips_the_upgrade_when_told(
    sample: App, database: Database
) -> None:
    sample.start("2.2.15", database).until("ok")
    sample.start("2.2.15", database, SKIP_SAME_VERSION_UPGRADE="true").until("ok")
    sample.start("2.2.15", database).until("ok")
    assert events(database)[4:] == [
        *("starting", "upgrade skipped", "started"),
        *("starting", "migrating 2.2.15 -> 2.2.15", "migrated 2.2.15 -> 2.2.15", "started"),
    ]


def test_a_start_takes_the_upgrading_mark_away(
    sample: App, database: Database, tmp_path: Path
) -> None:
    sample.start("2.2.15", database).until("ok")
    storage = tmp_path / "storage"
    storage.mkdir()
    (storage / ".upgrading").touch()
    sample.start("2.2.15", database, storage=storage).until("ok")
    assert not (storage / ".upgrading").exists()


def test_processes_of_one_node_all_start_for_themselves(sample: App, database: Database) -> None:
    sample.start("2.2.15", database).until("ok")
    node = sample.start("2.2.15", database, CLUSTER_MODE="2")
    node.until("ok")
    until = time.monotonic() + 20
    while events(database).count("started") < 3 and time.monotonic() < until:
        time.sleep(0.1)
    assert events(database).count("started") == 3
    assert node.box.stop() == 0


def test_its_websocket_opens_and_says_that_it_runs(sample: App, database: Database) -> None:
    node = sample.start("2.2.15", database)
    node.until("ok")
    hello = (
        "GET /ws HTTP/1.1\r\nHost: app\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    said = b""
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as opened:
        opened.sendall(hello.encode())
        while b"APP_RUNNING" not in said:
            said += opened.recv(4096)
        assert said.startswith(b"HTTP/1.1 101 ")
        assert node.box.stop() == 0


def test_a_database_that_is_away_is_told(sample: App, database: Database) -> None:
    away = {"DB_PORT": "1"}
    seen = sample.start("2.2.15", database, **away).until("APP_ERROR", 40)
    assert any(word.startswith("Unable to connect to the database: ") for word in seen)


@pytest.mark.parametrize("fault", ["die-at-start", "no-such-fault"])
def test_a_node_that_dies_at_start_never_listens(
    sample: App, database: Database, fault: str
) -> None:
    node = sample.start("2.2.15", database, SAMPLE_FAULT=fault)
    assert node.box.wait(10) == 1


def test_a_node_that_dies_in_its_migration_leaves_it_half_done(
    sample: App, database: Database
) -> None:
    first = sample.start("2.2.15", database)
    first.until("ok")
    first.box.stop()
    assert sample.start("2.2.16", database, SAMPLE_FAULT="die-in-migration").box.wait(10) == 1
    assert database.query('SELECT value FROM "applicationVersion"') == ["2.2.15"]
    again = sample.start("2.2.16", database)
    assert any("already exists" in word for word in again.until("APP_ERROR"))


def test_a_node_that_dies_after_it_was_healthy_does_so(sample: App, database: Database) -> None:
    node = sample.start("2.2.15", database, SAMPLE_FAULT="die-after-healthy")
    node.until("ok")
    assert node.box.wait(10) == 1


def test_a_node_with_the_wrong_version_says_so(sample: App, database: Database) -> None:
    node = sample.start("2.2.15", database, SAMPLE_FAULT="wrong-version")
    node.until("ok")
    assert node.version() == "0.0.1"


def test_a_slow_start_takes_its_time(sample: App, database: Database) -> None:
    node = sample.start("2.2.15", database, SAMPLE_FAULT="slow-start=2")
    with pytest.raises(AssertionError, match="ok not seen"):
        node.until("ok", 1.5)
    node.until("ok")


def test_a_start_that_hangs_stays_in_its_state(sample: App, database: Database) -> None:
    node = sample.start("2.2.15", database, SAMPLE_FAULT="hang")
    with pytest.raises(AssertionError, match=r"load plugin \[file-manager\], 3/7"):
        node.until("ok", 2)
    assert node.box.stop() == 0
