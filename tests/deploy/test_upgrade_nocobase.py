"""The real NocoBase to its next version and back, with data that somebody cares for."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.deploy.cluster import Cluster, ask, patiently
from tests.deploy.monitor import monitor
from tests.deploy.upgrading import NEW, NODES, OLD, Upgrading

pytestmark = [pytest.mark.nocobase, pytest.mark.series]

ROWS = 200
# Half a gigabyte that packs badly.
BALLAST = (
    "CREATE TABLE ballast AS SELECT number, (SELECT string_agg(md5(random()::text || part), '')"
    " FROM generate_series(1, 100) AS part) AS text FROM generate_series(1, 160000) AS number"
)


def test_rows_survive_the_way_forth_and_the_way_back(nocobase: Cluster) -> None:
    done = nocobase.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    app = Upgrading(nocobase)
    make_things(app)
    app.sql(BALLAST)
    assert int(app.sql("SELECT pg_database_size('nocobase')")) > 500_000_000

    with monitor(app.balancers, app.token(), path="/api/things:create") as seen:
        app.upgrade().ended(0, f"NocoBase {NEW} serves", "503 for")
    seen.check_window(OLD, NEW)
    assert things(app) >= written() | seen.notes
    write(app, "written after")

    app.rollback().ended(0, f"NocoBase {OLD} serves again")
    assert app.version() == OLD
    left = things(app)
    assert left >= written()
    assert "written after" not in left
    kept = app.kept_databases()[-1]
    assert "written after" in app.sql("SELECT text FROM things", kept)
    assert app.sql("SELECT count(*) FROM ballast").strip() == "160000"


def make_things(app: Upgrading) -> None:
    """A collection with rows, made through the app."""
    fields = [{"name": "text", "type": "string", "interface": "input"}]
    collection = {"name": "things", "title": "Things", "fields": fields}
    token = app.token()
    ask(f"{app.app}/collections:create", token=token, data=collection)
    for node in NODES:
        address = f"http://{app.cluster.address(node)}:13000/api/things:list"
        patiently(partial(ask, address, token=token))
    for text in sorted(written()):
        write(app, text)


def written() -> set[str]:
    return {f"thing {number}" for number in range(ROWS)}


def write(app: Upgrading, text: str) -> None:
    ask(f"{app.app}/things:create", token=app.token(), data={"text": text})


def things(app: Upgrading) -> set[str]:
    found: list[dict[str, Any]] = ask(f"{app.app}/things:list?paginate=false", token=app.token())[
        "data"
    ]
    return {str(one["text"]) for one in found}
