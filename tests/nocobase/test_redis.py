from __future__ import annotations

from nbops.base.secret import Secret
from nbops.nocobase.redis import RedisPlan, included, serve_script, settings_file


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
