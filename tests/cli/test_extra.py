"""`-e`: variables from the command line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbops.base.errors import UsageError
from nbops.base.secret import Secret
from nbops.cli.extra import extra_vars, sealed, secret_vars
from tests.cli.cli_told import Nbops

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("version=2.2.15", {"version": "2.2.15"}),
        ("empty=", {"empty": ""}),
        ("number=1", {"number": "1"}),
        ("text=two words", {"text": "two words"}),
        ("a=b=c", {"a": "b=c"}),
        ("url=http://x/?a=1&b=2", {"url": "http://x/?a=1&b=2"}),
        ("quoted='a b=c'", {"quoted": "a b=c"}),
        ('quoted="x"', {"quoted": "x"}),
        ('{"n": 1, "l": [true]}', {"n": 1, "l": [True]}),
        ("{n: 1}", {"n": 1}),
    ],
)
def test_each_form_gives_its_variables(text: str, variables: dict[str, object]) -> None:
    assert extra_vars([text]) == variables


def test_a_file_gives_its_variables_and_a_later_option_wins() -> None:
    Path("vars.yml").write_text("a: 1\nb: {c: 2}\n")
    assert extra_vars(["@vars.yml", "a=3"]) == {"a": "3", "b": {"c": 2}}


def test_an_empty_file_gives_none() -> None:
    Path("vars.yml").write_text("# nothing\n")
    assert extra_vars(["@vars.yml"]) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("novalue", "is not KEY=VALUE"),
        ("=x", "is not KEY=VALUE"),
        ("my-key=x", "is not KEY=VALUE"),
        ("a=1 b=2", "one variable or several"),
        ("@missing.yml", "-e @missing.yml: no such file"),
        ("[1, 2]", "holds no variables"),
        ('{"my-key": 1}', "cannot be the name of a variable"),
        ("{a: 1", "not valid YAML"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        extra_vars([text])
    assert says in str(caught.value)


def test_a_file_of_secrets_that_everyone_can_read_is_refused() -> None:
    file = Path("their vars.yml")
    file.write_text("db: {password: hunter2}\n")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="everyone on this computer") as caught:
        extra_vars([f"@{file}"])
    assert "`chmod 600 'their vars.yml'`" in str(caught.value.problems[0].hint)
    file.chmod(0o640)
    assert extra_vars([f"@{file}"]) == {"db": {"password": "hunter2"}}
    file.write_text("db: {host: h}\n")
    file.chmod(0o644)
    assert extra_vars([f"@{file}"]) == {"db": {"host": "h"}}


def test_a_value_that_is_refused_is_not_shown() -> None:
    for text in ("my-password=hunter2", "password=hunter2 user=x"):
        with pytest.raises(UsageError) as caught:
            extra_vars([text])
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "secrets"),
    [
        ({"db_password": "hunter2", "user": "nocobase"}, ["hunter2"]),
        ({"db": {"password": "x", "host": "h"}}, ["x"]),
        ({"admin_passwords": ["one", {"of": "two"}], "n": 1}, ["one", "two"]),
        ({"hosts": [{"api_key": 12345678}]}, ["12345678"]),
        ({"secrets": {"a": 1.5, "b": None, "c": True}}, ["1.5"]),
        ({"use_token": "true", "token": "", "password_file": None}, []),
    ],
)
def test_all_that_stands_under_the_name_of_a_secret_is_one(
    variables: dict[str, Any], secrets: list[str]
) -> None:
    assert [one.reveal() for one in secret_vars(variables)] == secrets


def test_what_is_kept_has_the_form_of_what_was_given() -> None:
    given = {"db": {"password": "x", "host": "h"}, "tokens": ["a", "yes"]}
    kept = {"db": {"password": Secret("x"), "host": "h"}, "tokens": [Secret("a"), "yes"]}
    assert sealed(given) == kept


def test_what_an_expression_makes_of_a_secret_given_on_the_command_line_is_one_too(
    nbops: Nbops, local: Path, runbook: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_PASSWORD", "sudoword88")
    password = "ansible_become_password: \"{{ lookup('env', 'SUDO_PASSWORD') }}\""
    local.write_text(f"{local.read_text()}  vars:\n    {password}\n")
    made = "{{ the_token | upper }} {{ ansible_become_password | reverse }} {{ the_token[1:] }}"
    book = runbook(f'- debug: {{msg: "{made}"}}\n- command: echo {{{{ the_token }}}}')
    told = nbops("run", book, "-e", "the_token=tokentok88")
    assert told.code == 1
    assert "a secret cannot stand here: it would show in the host's process list" in told.out
    shown = told.out + nbops("report", "-o", "-").out
    for part in ("TOKENTOK88", "88drowodus", "okentok88"):
        assert part not in shown


def test_the_next_step_names_the_secrets_that_have_to_be_given_again(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    book = runbook("- {name: one, command: 'true', rollback: [{command: 'false'}]}\n- fail:")
    told = nbops("run", book, "-e", "my_secret=tokentok88", "-e", "word=x")
    assert told.code == 6
    assert re.search(r"`nbops resume \S+ -e my_secret=…` goes on with the way back", told.err)
