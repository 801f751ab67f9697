from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from nbops.base.errors import UsageError
from nbops.base.secret import Secret
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.redis import RedisPlan, included, serve_script, settings_file
from nbops.nocobase.redis_talk import answers, server_of, talk
from nbops.nocobase.steps.redis import clearable, empty, redis_plan

Variables = Callable[..., Mapping[str, Any]]


def test_without_a_password_the_nodes_are_let_in_all_the_same() -> None:
    text = settings_file(RedisPlan())
    assert "protected-mode no\n" in text
    assert "requirepass" not in text


def test_a_password_may_hold_any_sign() -> None:
    text = settings_file(RedisPlan(password=Secret('a b"c\\d')))
    assert 'requirepass "a b\\"c\\\\d"\n' in text
    assert "protected-mode yes\n" in text


def test_locks_and_queues_are_never_evicted_and_outlive_a_crash() -> None:
    text = settings_file(RedisPlan())
    assert "maxmemory-policy noeviction\n" in text
    assert "appendonly yes\n" in text


def test_our_settings_come_last_and_once() -> None:
    once = included("port 6379\n")
    assert once == "port 6379\ninclude /etc/redis/nbops.conf\n"
    assert included(once) == once
    assert included(once + "port 1\n").endswith("port 1\ninclude /etc/redis/nbops.conf\n")


def test_the_password_stands_in_no_argument() -> None:
    assert "REDISCLI_AUTH" not in serve_script(6379, "put\n")
    assert " -a " not in serve_script(6379, "put\n")


def test_a_word_can_not_be_another_command() -> None:
    script, said = talk(Secret("redis://:p%40ss@cache:6380/2"), [["SET", "a\r\nFLUSHALL", "b"]])
    assert "p@ss" not in script
    assert said.startswith(b"*2\r\n$4\r\nAUTH\r\n$4\r\np@ss\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n")
    assert b"*3\r\n$3\r\nSET\r\n$11\r\na\r\nFLUSHALL\r\n$1\r\nb\r\n" in said
    assert said.endswith(b"*1\r\n$4\r\nQUIT\r\n")


def test_a_user_of_its_own_signs_in_by_name() -> None:
    _, said = talk(Secret("rediss://ann:word@cache/0"), [])
    assert said.startswith(b"*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$4\r\nword\r\n")


def test_an_address_with_tls_is_spoken_to_by_tls() -> None:
    script, _ = talk("rediss://[fd00::1]:6380/0", [])
    assert "openssl s_client" in script
    assert "[fd00::1]:6380" in script


@pytest.mark.parametrize("url", ["http://cache/0", "redis:///1", "redis://cache/one"])
def test_what_is_no_address_of_redis_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        server_of(url)


def test_answers_of_every_kind_are_read() -> None:
    assert answers(b"+OK\r\n:12\r\n-ERR no\r\n$4\r\na\r\nb\r\n$-1\r\n*2\r\n:1\r\n+b\r\n") == [
        "OK",
        "12",
        "-ERR no",
        "a\r\nb",
        "",
        "1\nb",
    ]


@pytest.mark.parametrize("cut", [b"+OK", b"$5\r\nab\r\n"])
def test_an_answer_that_is_cut_off_is_no_answer(cut: bytes) -> None:
    with pytest.raises(ValueError, match="cut off"):
        answers(cut)


def urls(**numbers: int) -> dict[str, str]:
    return {name: f"redis://cache:6379/{number}" for name, number in numbers.items()}


def test_the_queue_is_never_cleared_with_the_cache() -> None:
    shared = urls(cache=0, pubsub=0, lock=2, queue=0, worker_id=4)
    assert clearable(shared, ["cache", "lock"]) == (["lock"], [("cache", "queue")])


def test_messages_between_nodes_are_not_kept_and_so_not_lost() -> None:
    assert clearable(urls(cache=0, pubsub=0, lock=2, queue=3), ["cache"]) == (["cache"], [])


def test_a_database_of_two_functions_is_cleared_once() -> None:
    assert clearable(urls(cache=0, lock=0, queue=3), ["cache", "lock"]) == (["cache"], [])


def test_there_is_a_database_for_every_number(variables: Variables) -> None:
    there = {name: {"database": number} for name, number in (("cache", 3), ("queue", 40))}
    plan = redis_plan(cluster_of(variables(redis={"managed": True, "port": 6379, **there})))
    assert plan.databases == 41


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (b"+OK\r\n:0\r\n+OK\r\n", ["cache", "lock", "queue", "worker_id"]),
        (b"+OK\r\n:7\r\n+OK\r\n", []),
        (b"-NOAUTH Authentication required.\r\n", []),
        (b"", []),
    ],
)
def test_only_where_redis_says_so_a_database_is_empty(
    variables: Variables, said: bytes, found: list[str]
) -> None:
    context: Any = SimpleNamespace(probe=lambda *_, **__: SimpleNamespace(stdout=said))
    assert empty(cluster_of(variables()), context) == found
