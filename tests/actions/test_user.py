from __future__ import annotations

import pwd
from typing import Any

import pytest
from pydantic import ValidationError

from nbops.actions.user import (
    Account,
    Seen,
    UserAction,
    UserArgs,
    change_commands,
    create_commands,
    probe_script,
)
from nbops.base.secret import MASK, Secret
from tests.actions.conftest import LocalContext, do

GROUPS = {"docker": ("docker", 101), "www": ("www", 33), "33": ("www", 33)}
ACCOUNT = Account(1000, 1000, "Me", "/home/me", "/bin/sh", frozenset({"www"}), True, False)


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        ({}, ["useradd -m -- me || exit\n"]),
        ({"system": True, "create_home": False}, ["useradd -M -r -- me || exit\n"]),
        (
            {"uid": 5, "non_unique": True, "group": "www", "groups": ["docker"], "comment": "a b"},
            ["useradd -u 5 -o -g www -G docker -c 'a b' -m -- me || exit\n"],
        ),
        ({"home": "/srv/a b", "shell": "/bin/bash"},
         ["useradd -d '/srv/a b' -s /bin/bash -m -- me || exit\n"]),
    ],
)  # fmt: skip
def test_an_account_is_made(arguments: dict[str, Any], commands: list[str]) -> None:
    args = UserArgs.model_validate({"name": "me", **arguments})
    assert create_commands(args, Seen(None, GROUPS, own_group=False)) == commands


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ""),
        ({"uid": 1000, "comment": "Me", "home": "/home/me", "shell": "/bin/sh"}, ""),
        ({"groups": ["www"]}, ""),
        ({"groups": ["33"]}, ""),
        ({"groups": ["www"], "append": True}, ""),
        ({"groups": ["docker"]}, "-G docker"),
        ({"groups": ["docker"], "append": True}, "-a -G docker"),
        ({"groups": []}, "-G ''"),
        ({"group": "www"}, "-g 33"),
        ({"comment": "it's"}, "-c 'it'\"'\"'s'"),
        ({"home": "/srv", "move_home": True}, "-d /srv -m"),
        ({"password_lock": True}, "-L"),
        ({"password_lock": False}, ""),
    ],
)
def test_only_what_differs_is_changed(arguments: dict[str, Any], words: str) -> None:
    args = UserArgs.model_validate({"name": "me", **arguments})
    expected = [f"usermod {words} -- me || exit\n"] if words else []
    assert change_commands(args, Seen(ACCOUNT, GROUPS, own_group=True), ACCOUNT) == expected


def test_a_password_is_on_no_argument_list() -> None:
    args = UserArgs(name="me", password=Secret("$6$hash"))
    (_, second) = create_commands(args, Seen(None, {}, own_group=False))
    assert second == Secret("printf '%s:%s\\n' me '$6$hash' | chpasswd -e || exit\n")
    assert str(probe_script(args)) == MASK


@pytest.mark.parametrize("name", ["-r", "a:b", "a b", "", "a\nb"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        UserArgs(name=name)


def test_an_account_that_is_as_it_should_be_costs_one_round_trip(ctx: LocalContext) -> None:
    me = pwd.getpwuid(0)
    result = do(UserAction(), ctx, name="root", uid=0, home=me.pw_dir, shell=me.pw_shell)
    assert not result.changed
    assert result.values["uid"] == 0
    assert (len(ctx.probes), len(ctx.acts)) == (1, 0)


def test_an_account_that_is_not_there_need_not_go(ctx: LocalContext) -> None:
    result = do(UserAction(), ctx, name="nobody-knows", state="absent")
    assert not result.changed
    assert ctx.acts == []


def test_a_group_that_is_not_there_is_named_before_anything_is_done(ctx: LocalContext) -> None:
    result = do(UserAction(), ctx, name="nobody-knows", groups=["no-such-group"])
    assert result.msg == "Group no-such-group does not exist"
    assert ctx.acts == []
