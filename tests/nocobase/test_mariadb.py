from __future__ import annotations

from dataclasses import replace

import pytest

from nbops.base.secret import Secret
from nbops.nocobase.databases.api import DatabasePlan
from nbops.nocobase.databases.mariadb import (
    NOTHING,
    Present,
    User,
    create_sql,
    hashed,
    identifier,
    literal,
    pattern,
    read_present,
    remove_sql,
    settings_file,
)

PLAN = DatabasePlan("noco_db", "ann", Secret("pass'word"), 3306, ("198.18.0.11", "198.18.0.12"))
KEPT = hashed("pass'word")
THERE = Present(
    True, "utf8mb4", tuple(User(host, KEPT) for host in PLAN.clients), tuple(PLAN.clients)
)


def test_an_empty_server_gets_the_database_and_a_user_for_each_node() -> None:
    sql = create_sql(PLAN, NOTHING)
    assert "CREATE DATABASE `noco_db` CHARACTER SET utf8mb4" in sql
    assert f"CREATE USER 'ann'@'198.18.0.12' IDENTIFIED BY PASSWORD '{KEPT}';" in sql
    assert "GRANT ALL ON `noco\\_db`.* TO 'ann'@'198.18.0.11';" in sql


def test_nothing_is_done_when_all_is_there() -> None:
    assert create_sql(PLAN, THERE) == ""


def test_the_password_itself_is_never_sent() -> None:
    assert "word'" not in create_sql(PLAN, NOTHING)


def test_another_password_is_mended() -> None:
    old = replace(THERE, users=(User("198.18.0.11", hashed("old")), THERE.users[1]))
    assert create_sql(PLAN, old) == (
        f"ALTER USER 'ann'@'198.18.0.11' IDENTIFIED BY PASSWORD '{KEPT}';"
    )


def test_a_node_that_has_gone_loses_its_way_in() -> None:
    fewer = replace(PLAN, clients=("198.18.0.11",))
    assert create_sql(fewer, THERE) == "DROP USER 'ann'@'198.18.0.12';"


@pytest.mark.parametrize("host", ["localhost", "%", "127.0.0.1", "backup.lan"])
def test_users_that_are_no_nodes_stay(host: str) -> None:
    assert create_sql(PLAN, replace(THERE, users=(*THERE.users, User(host, "x")))) == ""


def test_the_kept_form_is_that_of_the_server() -> None:
    # `SELECT PASSWORD('password')` of MariaDB 11.8
    assert hashed("password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


def test_names_are_looked_up_only_where_a_node_has_one() -> None:
    assert "skip-name-resolve = ON\n" in settings_file(PLAN)
    assert "skip-name-resolve = OFF\n" in settings_file(replace(PLAN, clients=("node1.lan",)))


def test_the_answer_is_read() -> None:
    answer = "database\tutf8mb4\nuser\t198.18.0.11\t*AB\ngrant\t198.18.0.11\n"
    assert read_present(answer) == Present(
        True, "utf8mb4", (User("198.18.0.11", "*AB"),), ("198.18.0.11",)
    )
    assert read_present("") == NOTHING


@pytest.mark.parametrize(("text", "quoted"), [("a'b", "'a''b'"), ("a\\b", "'a\\\\b'"), ("", "''")])
def test_texts_are_quoted_whatever_they_hold(text: str, quoted: str) -> None:
    assert literal(text) == quoted


def test_names_are_quoted_whatever_they_hold() -> None:
    assert identifier("a`b") == "`a``b`"
    assert pattern("a_b%c") == "a\\_b\\%c"


def test_what_was_made_goes_and_a_user_of_another_address_stays() -> None:
    assert remove_sql(PLAN, []) == ""
    assert remove_sql(PLAN, ["user at 198.18.0.12", "user at localhost"]) == (
        "DROP USER IF EXISTS 'ann'@'198.18.0.12';"
    )
    assert remove_sql(PLAN, ["database"]) == "DROP DATABASE IF EXISTS `noco_db`;"


def test_before_the_first_deploy_a_user_from_elsewhere_is_another_ones() -> None:
    there = replace(THERE, users=(*THERE.users, User("198.18.0.99", KEPT)))
    assert "198.18.0.99" in create_sql(PLAN, there)
    assert create_sql(replace(PLAN, deployed=False), there) == ""
