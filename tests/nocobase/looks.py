"""A cluster that is as it should be, as preflight sees it, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nbops.base.secret import Secret
from nbops.nocobase.preflight_model import (
    DOCKER_ROOT,
    DatabaseNeed,
    Finding,
    Look,
    Needs,
    Port,
    RedisNeed,
    Situation,
    Space,
    Target,
)
from nbops.nocobase.preflight_needs import env_mark
from nbops.nocobase.preflight_shared import all_findings

SALT = Secret("salt")
ENV = {"APP_KEY": "key", "APP_AES_SECRET_KEY": "ab" * 32, "DB_DATABASE": "d", "DB_PASSWORD": "p"}
IMAGE = "registry:5000/nocobase:2.2.15"
DIGEST = "sha256:" + "a" * 64
Row = tuple[str, ...]


def marks(app: str, **other: str) -> list[Row]:
    """The rows of an app's environment; `other` replaces values."""
    return [
        ("env", app, name, env_mark(SALT, name, value)) for name, value in (ENV | other).items()
    ]


def node(host: str, **parts: Any) -> Needs:
    """What a node needs."""
    return replace(
        Needs(
            host=host,
            roles=("app",),
            programs={"docker": "get it", "curl": "get curl"},
            space=(
                Space("nbops", "/var/lib/nbops", 64),
                Space(DOCKER_ROOT, "/var/lib/docker", 3072),
                Space("storage", "/srv/s", 512),
            ),
            ports=(Port(13000, "the app", (), True),),
            processes=1,
            runtime="compose",
            cluster="demo",
            image=IMAGE,
            app_port=13000,
            storage="/srv/s",
            targets=(
                Target("the database", "10.0.0.4", 5432, True),
                Target("node9", "10.0.0.19", 13000, True),
            ),
            database=DatabaseNeed("postgres", "10.0.0.4", 5432, "d", "u", Secret("p"), True),
            redis=(RedisNeed(("cache", "lock"), "10.0.0.5", 6379, (0, 2)),),
            salt=SALT,
            environment=ENV,
        ),
        **parts,
    )


def database(host: str = "db", **parts: Any) -> Needs:
    """What the database's host needs."""
    need = DatabaseNeed("postgres", "10.0.0.4", 5432, "d", "u", Secret("p"), True, True)
    return replace(
        Needs(
            host=host,
            roles=("database",),
            cluster="demo",
            database=need,
            ports=(Port(5432, "the database", ("postgres",)),),
            backup_tool="pg_dump",
        ),
        **parts,
    )


def good(needs: Needs) -> list[Row]:
    """What is seen on a host that is ready, before the first deploy."""
    rows: list[Row] = [
        ("begin", "100.5"),
        ("end", "101.0"),
        ("uid", "0"),
        ("os", "debian", "13"),
        ("zone", "+0000"),
        ("memory", "8000"),
        ("cores", "4"),
    ]
    rows += [
        ("space", one.purpose, one.path, "50000", "/", "1000000:900000", "rw")
        for one in needs.space
    ]
    if needs.is_node:
        rows += [
            ("docker", "26.1.5"),
            ("compose", "2.26.1"),
            ("image", f"sha256:1 {IMAGE.rpartition(':')[0]}@{DIGEST}"),
            ("storage", "nfs4", "1.2", "rw", "/srv/s"),
            ("reach", "the database", "10.0.0.4", "5432", "ok"),
            ("redis", "0", "ok", "redis_version:8.0.2  "),
        ]
    if needs.backup_tool:
        rows.append(("tool", "pg_dump", "pg_dump (PostgreSQL) 17.2"))
    return rows


def look(rows: Sequence[Row], began: float = 100.0, ended: float = 101.5) -> Look:
    """A look with these rows."""
    return Look(tuple(rows), began, ended)


def spoilt(rows: Sequence[Row], *changes: Row, without: Sequence[str] = ()) -> list[Row]:
    """Rows with others in place of those of the same key (and first value, for `space`)."""

    def same(row: Row, change: Row) -> bool:
        return row[0] == change[0] and (row[0] != "space" or row[1] == change[1])

    kept = [
        row
        for row in rows
        if row[0] not in without and not any(same(row, change) for change in changes)
    ]
    return [*kept, *changes]


def situation(
    looks: Mapping[str, Look] | None = None,
    needs: Mapping[str, Needs] | None = None,
    **parts: Any,
) -> Situation:
    """Three nodes and a database's host, all ready; `looks` replaces what is seen on some."""
    wanted = {name: node(name) for name in ("node1", "node2", "node3")} | {"db": database()}
    wanted |= needs or {}
    seen = {host: look(good(one)) for host, one in wanted.items()} | dict(looks or {})
    return Situation(
        **{
            "cluster": "demo",
            "version": "2.2.15",
            "image": IMAGE,
            "needs": wanted,
            "looks": seen,
            **parts,
        }
    )


def found(*changes: Row, on: str = "node2", without: Sequence[str] = (), **parts: Any) -> list[str]:
    """What is found, as `host level what → remedy`, when one host is seen otherwise."""
    plain = situation(**parts)
    rows = spoilt(plain.looks[on].rows, *changes, without=without)
    return told(all_findings(replace(plain, looks={**plain.looks, on: look(rows)})))


def told(findings: Sequence[Finding]) -> list[str]:
    """Findings as one text each."""
    return [f"{one.host} {one.level} {one.what} → {one.remedy}" for one in findings]
