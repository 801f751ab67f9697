"""The environment of the nodes, row by row, and its file as Docker Compose reads it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.errors import UsageError
from nbops.base.secret import Secret, reveal
from nbops.nocobase.environment import (
    FIRST,
    FURTHER,
    NORMAL,
    PER_NODE,
    RESERVED,
    Addresses,
    Start,
    environment,
    fingerprint,
    redis_url,
    render_env_file,
)

ADDRESSES = Addresses("10.0.0.20", {"cache": "10.0.0.21", "cache2": "fd00::22"})


def settings(**parts: Any) -> dict[str, Any]:
    """The effective settings of a host, with sections replaced or added to."""
    data: dict[str, Any] = {
        "cluster": "main",
        "version": "2.2.15",
        "runtime": {"kind": "compose", "port": 13000},
        "database": {
            "kind": "postgres",
            "port": 5432,
            "name": "nocobase",
            "user": "app",
            "password": Secret("db secret"),
        },
        "redis": {"managed": True, "port": 6379},
        "secrets": {"app_key": Secret("app secret"), "aes_key": Secret("ab" * 32)},
        "plugins": {"append": None, "package_service": None},
        "verify": {"account": {"email": "a@b.c", "password": Secret("root secret")}},
        "env": {},
    }
    for name, value in parts.items():
        old = data.get(name)
        data[name] = {**old, **value} if isinstance(old, dict) else value
    return data


def plain(start: Start = NORMAL, **parts: Any) -> dict[str, str]:
    """The environment with its secrets shown."""
    env = environment(settings(**parts), ADDRESSES, start)
    return {name: reveal(value) for name, value in env.items()}


def test_every_row_of_the_reference_page_and_its_successors_is_there() -> None:
    assert plain() == {
        "APP_ENV": "production",
        "APP_PORT": "13000",
        "APP_KEY": "app secret",
        "APP_AES_SECRET_KEY": "ab" * 32,
        "DB_DIALECT": "postgres",
        "DB_HOST": "10.0.0.20",
        "DB_PORT": "5432",
        "DB_DATABASE": "nocobase",
        "DB_USER": "app",
        "DB_PASSWORD": "db secret",
        "CACHE_DEFAULT_STORE": "redis",
        "CACHE_REDIS_URL": "redis://10.0.0.21:6379/0",
        "PUBSUB_ADAPTER_REDIS_URL": "redis://10.0.0.21:6379/1",
        "LOCK_ADAPTER_DEFAULT": "redis",
        "LOCK_ADAPTER_REDIS_URL": "redis://10.0.0.21:6379/2",
        "QUEUE_ADAPTER": "redis",
        "QUEUE_ADAPTER_REDIS_URL": "redis://10.0.0.21:6379/3",
        "REDIS_URL": "redis://10.0.0.21:6379/4",
        "APPEND_PRESET_BUILT_IN_PLUGINS": "lock-adapter-redis,pubsub-adapter-redis,"
        "queue-adapter-redis,workerid-allocator-redis",
    }


def test_an_adapter_of_another_maker_is_named_to_the_app_as_nocobases_own_is() -> None:
    mine = ["@lab/plugin-lock-adapter-redis", "@nocobase/plugin-queue-adapter-redis"]
    env = plain(plugins={"append": mine})
    assert (env["LOCK_ADAPTER_DEFAULT"], env["QUEUE_ADAPTER"]) == ("redis", "redis")
    assert env["APPEND_PRESET_BUILT_IN_PLUGINS"] == ",".join(mine)
    other = plain(plugins={"append": ["@lab/plugin-another-adapter-redis"]})
    assert not {"LOCK_ADAPTER_DEFAULT", "QUEUE_ADAPTER"} & set(other)


def test_all_that_nbops_sets_is_closed_to_the_users_own_variables() -> None:
    every = plain(
        Start(install=True, skip_upgrade=True),
        runtime={"worker_mode": "!", "cluster_mode": 2},
        plugins={
            "package_service": {"url": "u", "username": "n", "password": Secret("p")},
            "packages": [{"mark": "m"}],
        },
    )
    assert set(every) == set(RESERVED)


def test_what_is_secret_is_of_that_type() -> None:
    env = environment(
        settings(
            redis={"password": Secret("pw")},
            plugins={"package_service": {"username": "n", "password": Secret("p")}},
            env={"A": Secret("a"), "B": "b"},
        ),
        ADDRESSES,
        FIRST,
    )
    hidden = {name for name, value in env.items() if isinstance(value, Secret)}
    assert hidden == {
        "APP_KEY",
        "APP_AES_SECRET_KEY",
        "DB_PASSWORD",
        "CACHE_REDIS_URL",
        "PUBSUB_ADAPTER_REDIS_URL",
        "LOCK_ADAPTER_REDIS_URL",
        "QUEUE_ADAPTER_REDIS_URL",
        "REDIS_URL",
        "NOCOBASE_PKG_PASSWORD",
        "INIT_ROOT_PASSWORD",
        "A",
    }


@pytest.mark.parametrize(
    ("parts", "name", "value"),
    [
        ({"database": {"kind": "mariadb", "port": 3306}}, "DB_DIALECT", "mariadb"),
        ({"database": {"host": "db.example.com"}}, "DB_HOST", "db.example.com"),
        ({"runtime": {"port": 14000}}, "APP_PORT", "14000"),
        ({"runtime": {"worker_mode": "!"}}, "WORKER_MODE", "!"),
        ({"runtime": {"cluster_mode": "max"}}, "CLUSTER_MODE", "max"),
        ({"runtime": {"cluster_mode": 2}}, "CLUSTER_MODE", "2"),
        ({"env": {"TZ": "Asia/Shanghai"}}, "TZ", "Asia/Shanghai"),
        ({"plugins": {"append": ["a", "b"]}}, "APPEND_PRESET_BUILT_IN_PLUGINS", "a,b"),
        (
            {"version": "1.9.4"},
            "APPEND_PRESET_BUILT_IN_PLUGINS",
            "lock-adapter-redis,pubsub-adapter-redis",
        ),
        ({"redis": {"port": 7000}}, "REDIS_URL", "redis://10.0.0.21:7000/4"),
        ({"redis": {"cache": {"database": 9}}}, "CACHE_REDIS_URL", "redis://10.0.0.21:6379/9"),
        ({"redis": {"cache": {"url": "redis://h:1/2"}}}, "CACHE_REDIS_URL", "redis://h:1/2"),
        (
            {"redis": {"lock": {"host": "cache2", "database": 0}}},
            "LOCK_ADAPTER_REDIS_URL",
            "redis://[fd00::22]:6379/0",
        ),
        ({"redis": {"url": "redis://h:1"}}, "LOCK_ADAPTER_REDIS_URL", "redis://h:1/2"),
        ({"redis": {"url": "redis://h:1/"}}, "LOCK_ADAPTER_REDIS_URL", "redis://h:1/2"),
        ({"redis": {"url": "redis://h:1/7"}}, "LOCK_ADAPTER_REDIS_URL", "redis://h:1/7"),
        ({"redis": {"url": "rediss://h"}}, "CACHE_REDIS_URL", "rediss://h/0"),
        (
            {"redis": {"url": "rediss://h:1", "password": Secret("p/w")}},
            "CACHE_REDIS_URL",
            "rediss://:p%2Fw@h:1/0",
        ),
        (
            {"redis": {"url": "redis://me@h:1", "password": Secret("pw")}},
            "CACHE_REDIS_URL",
            "redis://me:pw@h:1/0",
        ),
        (
            {"redis": {"url": Secret("redis://:own@h:1"), "password": Secret("pw")}},
            "CACHE_REDIS_URL",
            "redis://:own@h:1/0",
        ),
    ],
)
def test_a_setting_shows_in_its_variable(parts: dict[str, Any], name: str, value: str) -> None:
    assert plain(**parts)[name] == value


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({}, "WORKER_MODE"),
        ({}, "CLUSTER_MODE"),
        ({}, "NOCOBASE_PKG_USERNAME"),
        ({}, "INIT_ROOT_EMAIL"),
        ({}, "SKIP_SAME_VERSION_UPGRADE"),
        ({"plugins": {"append": []}}, "APPEND_PRESET_BUILT_IN_PLUGINS"),
    ],
)
def test_what_is_not_set_is_not_there(parts: dict[str, Any], name: str) -> None:
    assert name not in plain(**parts)


class TestStart:
    def test_the_first_one_is_single_and_makes_the_account(self) -> None:
        env = plain(FIRST, runtime={"cluster_mode": "max"})
        assert "CLUSTER_MODE" not in env
        assert env["INIT_ROOT_EMAIL"] == "a@b.c"
        assert env["INIT_ROOT_PASSWORD"] == "root secret"
        assert "SKIP_SAME_VERSION_UPGRADE" not in env

    def test_further_ones_skip_the_upgrade(self) -> None:
        env = plain(FURTHER, runtime={"cluster_mode": "max"})
        assert env["CLUSTER_MODE"] == "max"
        assert env["SKIP_SAME_VERSION_UPGRADE"] == "true"
        assert "INIT_ROOT_PASSWORD" not in env

    def test_without_an_account_none_is_made(self) -> None:
        assert "INIT_ROOT_EMAIL" not in plain(FIRST, verify={"account": None})

    def test_one_of_several_instances_has_a_port_of_its_own(self) -> None:
        assert environment(settings(), ADDRESSES, port=13001)["APP_PORT"] == "13001"


def test_a_single_node_can_do_without_redis() -> None:
    env = environment(settings(redis={"managed": False}), Addresses("db"))
    assert not any("REDIS" in name or "ADAPTER" in name for name in env)
    assert "APPEND_PRESET_BUILT_IN_PLUGINS" not in env


def test_a_redis_host_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UsageError, match="no host `other`"):
        environment(settings(redis={"lock": {"host": "other"}}), ADDRESSES)
    with pytest.raises(UsageError, match="no Redis for it"):
        environment(settings(redis={"cache": {"url": "redis://h"}}), Addresses("db"))


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_password_in_an_address_comes_back_as_it_was(password: str) -> None:
    if any(0xD800 <= ord(sign) <= 0xDFFF for sign in password):
        return
    url = redis_url({"password": Secret(password)}, "cache", ADDRESSES)
    assert isinstance(url, Secret)
    parts = urlsplit(url.reveal())
    assert unquote(parts.password or "") == password
    assert (parts.hostname, parts.port, parts.path) == ("10.0.0.21", 6379, "/0")


class TestFingerprint:
    def test_is_equal_for_nodes_that_differ_only_in_what_is_their_own(self) -> None:
        one = environment(settings(), ADDRESSES, FIRST)
        other = environment(
            settings(runtime={"port": 1, "worker_mode": "!", "cluster_mode": 3}),
            ADDRESSES,
            FURTHER,
        )
        assert set(one) ^ set(other) <= PER_NODE
        assert fingerprint(one) == fingerprint(other)
        assert fingerprint(dict(reversed(one.items()))) == fingerprint(one)

    @pytest.mark.parametrize(
        "parts",
        [
            {"secrets": {"app_key": Secret("another")}},
            {"secrets": {"aes_key": Secret("cd" * 32)}},
            {"database": {"password": Secret("another")}},
            {"env": {"A": "1"}},
            {"redis": {"port": 1}},
        ],
    )
    def test_tells_everything_else_apart(self, parts: dict[str, Any]) -> None:
        before = fingerprint(environment(settings(), ADDRESSES))
        assert fingerprint(environment(settings(**parts), ADDRESSES)) != before

    def test_does_not_confuse_names_with_values(self) -> None:
        assert fingerprint({"A": "x\nB\x001\x00y"}) != fingerprint({"A": "x", "B": "y"})

    def test_gives_no_secret_away(self) -> None:
        value = fingerprint(environment(settings(), ADDRESSES))
        assert len(value) == 64
        assert int(value, 16) >= 0


class TestEnvFile:
    @pytest.mark.parametrize(
        ("value", "line"),
        [
            ("", "A="),
            ("plain-1.0_/:@%+,=", "A=plain-1.0_/:@%+,="),
            ("a b", 'A="a b"'),
            ("a'b", 'A="a\'b"'),
            ('a"b', 'A="a\\"b"'),
            ("a\\", 'A="a\\\\"'),
            ("$HOME", 'A="\\$HOME"'),
            ("#x", 'A="#x"'),
            (" x ", 'A=" x "'),
            ("日本", 'A="日本"'),
        ],
    )
    def test_values_are_quoted_where_they_need_it(self, value: str, line: str) -> None:
        assert render_env_file({"A": value}).reveal() == f"{line}\n"

    def test_is_a_secret_itself(self) -> None:
        assert "db secret" not in str(render_env_file({"A": Secret("db secret")}))

    @pytest.mark.parametrize("value", ["a\nb", "a\r", "\n", "a\0b"])
    def test_more_than_one_line_is_refused_by_name(self, value: str) -> None:
        with pytest.raises(UsageError, match="value of SOME_NAME") as caught:
            render_env_file({"SOME_NAME": Secret(value)})
        assert caught.value.problems[0].hint

    @pytest.mark.parametrize("name", ["", "a-b", "1A", "A=B", "A\nB", "A B"])
    def test_a_name_that_is_none_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match="not the name"):
            render_env_file({name: "x"})

    def test_docker_compose_reads_every_value_back(
        self, compose: list[str], tmp_path: Path
    ) -> None:
        env = odd_values()
        assert read_by_compose(compose, render_env_file(env).reveal(), tmp_path) == env


def odd_values() -> dict[str, str]:
    """Values that a file of variables could spoil."""
    known = [
        "", "plain", "a b", "a'b", 'a"b', "a\\", "a\\\\", 'a\\"b', "$HOME", "${HOME}", "$$",
        "a$b", "`id`", "$(id)", "${X:-y}", "$1", "#x", "x #y", " lead", "trail ", "\\n", "\\t",
        "\\$", "\\0", "\\x41", "\\u0041", "\\07", "\\a\\b", "é中文😀", "a=b", "=", "!x", "%41",
        "{a}", "[x]", "'", "''", '"', '""', "'\"", "\\", "\t", "a\tb", "~", "*", "&", "|", ";",
        "<>", "yes", "null", "\x01", "\x7f", "export A=b", "\u2028", "\x85", "\xa0x\xa0",
    ]  # fmt: skip
    draw = random.Random(1)  # noqa: S311 - the same values in every run
    signs = "ab \\\"'$#{}0x1n`=\té"
    drawn = ["".join(draw.choices(signs, k=draw.randint(1, 12))) for _ in range(400)]
    return {f"V{number}": value for number, value in enumerate([*known, *drawn])}


def read_by_compose(compose: list[str], text: str, folder: Path) -> Mapping[str, str]:
    (folder / "node.env").write_text(text, encoding="utf-8")
    (folder / "compose.yml").write_text(
        "services: {app: {image: none, env_file: [node.env]}}\n", encoding="utf-8"
    )
    done = subprocess.run(
        [*compose, "-f", str(folder / "compose.yml"), "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    read = json.loads(done.stdout)["services"]["app"]["environment"]
    # What `config` prints is meant to be read again: each `$` stands there twice.
    return {name: value.replace("$$", "$") for name, value in read.items()}


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """Docker Compose v2 of this machine, or the one in a lab's cached machine."""
    candidates = [[docker, "compose"]] if (docker := shutil.which("docker")) else []
    cached = Path("/var/cache/nbops/lab")
    plugins = cached.glob("base-*/usr/libexec/docker/cli-plugins/docker-compose")
    candidates += [[str(path)] for path in plugins]
    for command in candidates:
        done = subprocess.run(
            [*command, "version", "--short"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and done.stdout.strip().lstrip("v").startswith("2."):
            return command
    pytest.skip("no Docker Compose v2 here, and no lab has been up on this machine")
