"""What each host must have follows from the settings; the script that looks is plain `sh`."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nbops.base.secret import Secret, reveal
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.preflight_model import (
    DatabaseNeed,
    Look,
    Needs,
    Port,
    RedisNeed,
    Space,
    Target,
    read_look,
)
from nbops.nocobase.preflight_needs import (
    LOOK,
    backup_host,
    env_mark,
    needs_of,
    redis_needs,
    roles_of,
    situation_of,
)
from nbops.nocobase.preflight_script import look_env, look_script

Variables = Callable[..., Mapping[str, Any]]


def needs(variables: Variables, host: str, **parts: Any) -> Needs:
    cluster = cluster_of(variables(host, **parts))
    return needs_of(cluster, cluster.me)


def test_every_host_has_its_roles(variables: Variables) -> None:
    assert roles_of(cluster_of(variables())) == {
        "node1": ("app",),
        "node2": ("app",),
        "node3": ("app",),
        "lb": ("balancer",),
        "db": ("database",),
        "cache": ("redis",),
    }


def test_a_node_needs_docker_room_its_ports_and_the_servers(variables: Variables) -> None:
    runtime = {"kind": "compose", "port": 13000, "instances": 2, "cluster_mode": 3}
    node = needs(variables, "node1", runtime=runtime)
    assert {"docker", "curl", "ss"} <= set(node.programs)
    assert [port.number for port in node.ports] == [13000, 13001]
    assert node.processes == 6
    assert {one.purpose for one in node.space} == {"nbops", "docker", "storage"}
    assert node.storage == "/srv/storage"
    assert [one.name for one in node.targets] == ["the database", "node2", "node3"]
    assert node.database is not None
    assert (node.database.host, node.database.managed) == ("198.18.0.4", True)
    (redis,) = node.redis
    assert (redis.host, redis.numbers, redis.managed) == ("198.18.0.5", (0, 1, 2, 3, 4), True)


@pytest.mark.parametrize("host", ["node1", "db"])
def test_the_database_in_use_is_asked_also_when_a_restore_gave_it_another_name(
    variables: Variables, host: str
) -> None:
    values = dict(variables(host))
    record = {"number": 3, "version": "2.2.15", "database": "nocobase_restored"}
    hostvars = values["hostvars"]
    told = {name: {**hostvars[name], "nocobase_release": record} for name in hostvars}
    cluster = cluster_of({**values, "hostvars": told, "nocobase_release": record})
    asked = needs_of(cluster, cluster.me).database
    assert asked is not None
    assert asked.name == "nocobase_restored"


def test_pm2_needs_node_js_and_npm_and_no_docker(variables: Variables) -> None:
    node = needs(variables, "node1", runtime={"kind": "pm2", "dir": "/srv/app", "port": 13000})
    assert {"node", "npm"} <= set(node.programs)
    assert "docker" not in node.programs
    assert "/srv/app" in {one.path for one in node.space}
    assert node.ports[0].ours == ("node",)


def test_the_servers_hosts_need_their_own(variables: Variables) -> None:
    assert [one.number for one in needs(variables, "db").ports] == [5432]
    assert needs(variables, "db").backup_tool == "pg_dump"
    assert "redis-server" in needs(variables, "cache").programs
    balancer = needs(variables, "lb")
    assert "nginx" in balancer.programs
    assert [one.name for one in balancer.targets] == ["node1", "node2", "node3"]


@pytest.mark.parametrize(
    ("kind", "port", "tool", "program"),
    [
        ("postgres", 5432, "pg_dump", "psql"),
        ("mariadb", 3306, "mariadb-dump", "mariadbd"),
        ("mysql", 3306, "mysqldump", "mysqld"),
    ],
)
def test_each_kind_of_database_has_its_own_programs(
    variables: Variables, kind: str, port: int, tool: str, program: str
) -> None:
    part = {
        "kind": kind,
        "managed": True,
        "port": port,
        "name": "n",
        "user": "u",
        "password": Secret("p"),
    }
    host = needs(variables, "db", database=part)
    assert program in host.programs
    assert host.backup_tool == tool
    assert host.database is not None
    assert host.database.local


def test_haproxy_and_tls_have_their_port_and_external_needs_nothing(variables: Variables) -> None:
    lb = needs(variables, "lb", balancer={"kind": "haproxy", "tls": {"key": "k"}})
    assert "haproxy" in lb.programs
    assert lb.ports[0].number == 443
    assert needs(variables, "lb", balancer={"kind": "external"}).ports == ()


def test_a_database_that_is_already_there_is_signed_in_to_by_the_app(variables: Variables) -> None:
    part = {
        "kind": "postgres",
        "host": "db.example",
        "port": 5433,
        "name": "n",
        "user": "u",
        "password": Secret("p"),
    }
    node = needs(variables, "node1", database=part)
    assert node.targets[0] == Target("the database", "db.example", 5433, False)
    assert node.database is not None
    assert not node.database.managed
    assert needs(variables, "db", database=part).ports == ()


def test_dumps_are_made_beside_the_database_else_on_the_first_node(variables: Variables) -> None:
    there = variables()
    assert backup_host(cluster_of(there)) == "db"
    groups = {**there["groups"], "database": []}
    assert backup_host(cluster_of({**there, "groups": groups})) == "node1"


def test_one_server_for_each_function_is_asked_alone() -> None:
    env = {
        "CACHE_REDIS_URL": "redis://a:6379/0",
        "LOCK_ADAPTER_REDIS_URL": Secret("rediss://ann:p%40ss%20x@b:6380/7"),
        "PUBSUB_ADAPTER_REDIS_URL": "redis://a:6379/1",
    }
    cache, lock = redis_needs(env, ["a"])
    assert (cache.functions, cache.numbers, cache.managed) == (("cache", "pubsub"), (0, 1), True)
    assert (lock.host, lock.port, lock.numbers, lock.tls) == ("b", 6380, (7,), True)
    assert lock.user == "ann"
    assert lock.password == Secret("p@ss x")


def test_a_registrys_credentials_are_a_header_of_dockers_own_form(variables: Variables) -> None:
    login = {"username": "ann", "password": Secret("p")}
    node = needs(variables, "node1", runtime={"kind": "compose", "port": 1, "registry": login})
    text = base64.urlsafe_b64decode(reveal(node.registry_auth or "")).decode()
    assert json.loads(text) == {"username": "ann", "password": "p"}


def test_what_was_seen_is_put_together_from_the_hosts_facts(variables: Variables) -> None:
    seen = Look((("uid", "0"),), 1.0, 2.0)
    facts = {
        "node2": {LOOK: seen.as_fact()},
        "db": {"nocobase_release": {"number": 4, "version": "2.2.15"}},
    }
    there = variables(facts=facts)
    found = situation_of(cluster_of(there), {**there, "nbops_adopt": True})
    assert found.nodes == ["node2"]
    assert found.release is not None
    assert found.adopt
    assert found.run == "20261123T084733Z-1a2b3c"


EVERYTHING = Needs(
    host="here",
    roles=("app",),
    programs={"no-such-program": "get it", "sh": "-"},
    space=(Space("a folder", "/no/such/folder yet", 1),),
    ports=(Port(1, "x", (), True),),
    runtime="compose",
    cluster="no such 'cluster'",
    image="no-registry.invalid/image:1",
    app_port=1,
    folder="/no/such",
    storage="/no/such/storage",
    plugins=("@a/b",),
    targets=(Target("self", "127.0.0.1", 1),),
    database=DatabaseNeed("postgres", "127.0.0.1", 1, "n", "u", Secret("pass-of-db")),
    redis=(
        RedisNeed(("cache",), "127.0.0.1", 1, (0,), password=Secret("pass of redis")),
        RedisNeed(("lock",), "127.0.0.1", 1, (1,), user="ann", password=Secret("x"), tls=True),
    ),
    salt=Secret("the-salt"),
    environment={"APP_KEY": "k"},
    backup_tool="no-dump",
)


def looked(needs: Needs, shell: str = "dash") -> list[tuple[str, ...]]:
    env = {"PATH": os.environ["PATH"]} | {k: reveal(v) for k, v in look_env(needs).items()}
    done = subprocess.run(
        [shell, "-c", look_script(needs)],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return list(read_look(done.stdout, 0, 0).rows)


@pytest.mark.parametrize("kind", ["compose", "pm2"])
def test_the_script_runs_in_a_plain_shell_where_nothing_is_there(kind: str) -> None:
    from dataclasses import replace

    rows = looked(replace(EVERYTHING, runtime=kind))
    assert ("missing", "no-such-program") in rows
    assert ("missing", "sh") not in rows
    assert ("tool", "no-dump", "") in rows
    assert ("reach", "self", "127.0.0.1", "1", "refused") in rows
    assert ("redis", "0", "refused") in rows
    assert not [row for row in rows if row[0] in {"storage", "configured", "lock", "app"}]
    keys = {row[0] for row in rows}
    assert {"begin", "end", "uid", "space", "memory", "cores", "zone", "database"} <= keys


def test_no_secret_stands_in_the_script() -> None:
    script = look_script(EVERYTHING)
    for secret in ("pass-of-db", "pass of redis", "the-salt"):
        assert secret not in script


def test_a_key_in_the_storage_has_the_mark_of_its_hex_digits(tmp_path: Path) -> None:
    from dataclasses import replace

    key = bytes(range(32))
    (tmp_path / "apps" / "main").mkdir(parents=True)
    (tmp_path / "apps" / "main" / "aes_key.dat").write_bytes(key)
    (tmp_path / "plugins" / "@nocobase" / "plugin-x").mkdir(parents=True)
    (tmp_path / "plugins" / "@nocobase" / "plugin-x" / "package.json").write_text("{}")
    (tmp_path / ".upgrading").touch()
    wanted = replace(
        EVERYTHING, storage=str(tmp_path), environment={"APP_AES_SECRET_KEY": key.hex()}
    )
    rows = looked(wanted)
    mark = env_mark("the-salt", "APP_AES_SECRET_KEY", key.hex())
    assert ("env", "storage", "APP_AES_SECRET_KEY", mark) in rows
    assert ("plugin", f"{tmp_path}/plugins/@nocobase/plugin-x") in rows
    assert any(row[0] == "upgrading" for row in rows)
    assert next(row for row in rows if row[0] == "storage")[3] == "rw"


def test_a_lock_is_read_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr("nbops.nocobase.preflight_script.STATE_FOLDER", str(tmp_path))
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "lock").write_text('4\nheld\n{"run": "r"}\n')
    rows = looked(replace(EVERYTHING, cluster="demo"))
    (lock,) = [row for row in rows if row[0] == "lock"]
    assert (lock[1], lock[3]) == ("held", '{"run": "r"}')
    assert int(lock[2]) < 60
