from __future__ import annotations

from dataclasses import replace

import pytest

from nbops.base.secret import Secret
from nbops.nocobase.databases.api import DatabasePlan
from nbops.nocobase.databases.postgresql import (
    Present,
    access_rules,
    address_rule,
    create_sql,
    identifier,
    literal,
    read_instances,
    read_present,
    remove_sql,
    settings_file,
)
from nbops.nocobase.databases.scram import verifier

PLAN = DatabasePlan("noco", "ann", Secret("pass'word"), 5432, ("198.18.0.11", "198.18.0.12"))
PACKAGE = "local all postgres peer\nhost all all 127.0.0.1/32 scram-sha-256\n"


def test_only_the_nodes_are_let_in_and_only_to_their_database() -> None:
    rules = access_rules(PACKAGE, PLAN)
    assert rules.startswith(PACKAGE)
    assert 'host  "noco"  "ann"  198.18.0.11/32  scram-sha-256\n' in rules
    assert 'host  "noco"  "ann"  198.18.0.12/32  scram-sha-256\n' in rules


def test_writing_the_rules_again_changes_nothing() -> None:
    once = access_rules(PACKAGE, PLAN)
    assert access_rules(once, PLAN) == once


def test_a_node_that_has_gone_is_not_let_in_any_more() -> None:
    once = access_rules(PACKAGE, PLAN)
    assert "198.18.0.12" not in access_rules(once, replace(PLAN, clients=("198.18.0.11",)))


def test_rules_that_others_added_stay() -> None:
    once = access_rules(PACKAGE, PLAN) + "host x y 10.0.0.1/32 scram-sha-256\n"
    assert "host x y 10.0.0.1/32" in access_rules(once, PLAN)


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("198.18.0.11", "198.18.0.11/32"),
        ("fd00::1", "fd00::1/128"),
        ("node1.lan", "node1.lan"),
    ],
)
def test_addresses_as_the_server_reads_them(address: str, rule: str) -> None:
    assert address_rule(address) == rule


def test_the_newest_server_is_the_last() -> None:
    listed = (
        "17 main 5432 online postgres /d /l\n9.6 old 5434 down postgres /d /l\n"
        "15 main 5433 down,recovery postgres /d /l\n"
    )
    found = read_instances(listed)
    assert [one.version for one in found] == ["9.6", "15", "17"]
    assert found[-1].online
    assert found[-1].unit == "postgresql@17-main.service"


def test_the_settings_name_the_port() -> None:
    assert "port = 5444\n" in settings_file(replace(PLAN, port=5444))


def test_an_empty_server_gets_user_and_database() -> None:
    sql = create_sql(PLAN, Present(False, "", False, "", "UTF8"))
    assert 'CREATE ROLE "ann" LOGIN PASSWORD E\'SCRAM-SHA-256$4096:' in sql
    assert 'CREATE DATABASE "noco" OWNER "ann" TEMPLATE template0 ENCODING \'UTF8\';' in sql


def test_the_password_itself_is_never_sent() -> None:
    assert "pass'word" not in create_sql(PLAN, None)
    assert "word" not in create_sql(PLAN, None).replace("PASSWORD", "")


def test_a_server_without_a_locale_still_gets_a_database_in_unicode() -> None:
    assert "LC_CTYPE 'C.UTF-8'" in create_sql(PLAN, Present(True, "", False, "", "SQL_ASCII"))


def test_nothing_is_done_when_all_is_there() -> None:
    assert create_sql(PLAN, Present(True, verifier("pass'word"), True, "ann", "UTF8")) == ""


def test_another_password_is_mended() -> None:
    sql = create_sql(PLAN, Present(True, verifier("old"), True, "ann", "UTF8"))
    assert sql.startswith('ALTER ROLE "ann" LOGIN PASSWORD')
    assert "DATABASE" not in sql


def test_the_answer_is_read() -> None:
    assert read_present("t\tSCRAM\tf\t\tUTF8\n") == Present(True, "SCRAM", False, "", "UTF8")


@pytest.mark.parametrize(
    ("text", "quoted"), [("a'b", "E'a''b'"), ("a\\b", "E'a\\\\b'"), ("", "E''")]
)
def test_texts_are_quoted_whatever_they_hold(text: str, quoted: str) -> None:
    assert literal(text) == quoted


def test_names_are_quoted_whatever_they_hold() -> None:
    assert identifier('a"b') == '"a""b"'


def test_what_was_made_goes_and_nothing_else() -> None:
    assert remove_sql(PLAN, []) == ""
    assert remove_sql(PLAN, ["role"]) == 'DROP ROLE IF EXISTS "ann";'
    *_, drop, role = remove_sql(PLAN, ["database", "role"]).splitlines()
    assert drop == 'DROP DATABASE IF EXISTS "noco";'
    assert role == 'DROP ROLE IF EXISTS "ann";'
