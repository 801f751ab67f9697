from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from nbops.actions.command import (
    CommandAction,
    CommandArgs,
    ShellAction,
    ShellArgs,
    command_script,
)
from nbops.actions.raw import RawAction, RawArgs
from nbops.actions.script import ScriptAction, ScriptArgs
from nbops.actions.script import split as split_script
from nbops.base.secret import Secret
from nbops.runbook.spec import Args
from tests.actions.conftest import LocalContext, do

COMMAND, SHELL, RAW, SCRIPT = CommandAction(), ShellAction(), RawAction(), ScriptAction()


def test_the_script_becomes_the_program() -> None:
    script = command_script(["ls", "a b"], "/tmp", expand=True)
    assert isinstance(script, str)
    assert script.startswith("cd -- /tmp 2>/dev/null || {")
    assert script.endswith("nb_find ls\nexec ls 'a b'\n")


def test_one_round_trip_carries_out_a_command(ctx: LocalContext) -> None:
    result = do(COMMAND, ctx, cmd="printf 'a\\n\\n'")
    assert result.changed
    assert result.values["stdout"] == "a"
    assert result.values["stdout_lines"] == ["a"]
    assert (len(ctx.probes), len(ctx.acts)) == (0, 1)


@pytest.mark.parametrize("text", ["$HOME", "*", "a;b", "a|b", "`id`", "$(id)"])
def test_command_has_no_shell(ctx: LocalContext, text: str) -> None:
    result = do(COMMAND, ctx, argv=["printf", "%s", text], expand_argument_vars=False)
    assert result.values["stdout"] == text


def test_a_program_that_ends_with_127_is_not_taken_for_a_missing_one(ctx: LocalContext) -> None:
    ran = do(COMMAND, ctx, argv=["sh", "-c", "exit 127"])
    assert (ran.changed, ran.values["rc"]) == (True, 127)
    missing = do(COMMAND, ctx, cmd="no-such-program x")
    assert (missing.changed, missing.values["rc"]) == (False, 2)


def test_a_builtin_of_the_shell_is_no_program(ctx: LocalContext) -> None:
    assert do(COMMAND, ctx, cmd="cd /").values["rc"] == 2


def test_a_text_with_an_open_quote_is_refused() -> None:
    with pytest.raises(ValidationError, match="No closing quotation"):
        CommandArgs(cmd="echo 'a")


@pytest.mark.parametrize("arguments", [{}, {"cmd": ""}, {"argv": []}, {"cmd": "a", "argv": ["b"]}])
def test_a_command_is_given_once(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CommandArgs.model_validate(arguments)


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        (CommandArgs, {"cmd": Secret("echo s3cret")}),
        (CommandArgs, {"argv": ["echo", Secret("s3cret")]}),
        (ShellArgs, {"cmd": Secret("echo s3cret | wc -c")}),
        (RawArgs, {"cmd": Secret("echo s3cret")}),
        (ScriptArgs, {"cmd": Secret("show.sh s3cret")}),
    ],
)
def test_a_secret_in_the_words_of_a_command_is_refused_with_a_way_out(
    model: type[Args], arguments: dict[str, object]
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(arguments)
    assert "hand it over by `environment` or `stdin`" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_standard_input_may_be_a_secret(ctx: LocalContext) -> None:
    result = do(COMMAND, ctx, cmd="cat", stdin=Secret("in"), stdin_add_newline=False)
    assert result.values["stdout"] == "in"
    assert isinstance(ctx.acts[0], str)


def test_invalid_utf8_is_shown_not_fatal(ctx: LocalContext) -> None:
    assert do(SHELL, ctx, cmd="printf '\\303('").values["stdout"] == "\ufffd("


def test_creates_is_asked_in_the_folder_of_the_command(ctx: LocalContext, box: Path) -> None:
    (box / "it's here").touch()
    result = do(COMMAND, ctx, cmd="false", chdir=str(box), creates="it's*")
    assert not result.changed
    assert not result.failed
    assert ctx.acts == []


def test_in_check_mode_nothing_is_carried_out(ctx: LocalContext, box: Path) -> None:
    ctx.check = True
    assert do(COMMAND, ctx, cmd="true").skipped
    assert do(SHELL, ctx, cmd="true", creates=str(box / "x")).changed
    assert do(RAW, ctx, cmd="true").skipped


def test_raw_goes_straight_into_the_stream(ctx: LocalContext) -> None:
    result = do(RAW, ctx, cmd="echo $((1+1))", executable="/bin/sh")
    assert result.values["stdout"] == "2\n"
    assert (len(ctx.probes), len(ctx.acts)) == (1, 0)


@pytest.mark.parametrize(
    ("cmd", "name", "rest"),
    [
        ("a.sh", "a.sh", ""),
        ("a.sh  b  'c d'", "a.sh", "b  'c d'"),
        ("'a b.sh' c", "a b.sh", "c"),
        ("a\\ b.sh", "a b.sh", ""),
        ('"a b.sh" $HOME', "a b.sh", "$HOME"),
    ],
)
def test_a_script_has_a_name_and_arguments_for_a_shell(cmd: str, name: str, rest: str) -> None:
    assert split_script(cmd) == (name, rest)


def test_a_script_is_sent_and_run(ctx: LocalContext, box: Path) -> None:
    (ctx.runbook / "it's.sh").write_text('#!/bin/sh\nprintf "%s|" "$PWD" "$@"; exit 3\n')
    result = do(SCRIPT, ctx, cmd="\"it's.sh\" 'a b' $HOME", chdir=str(box))
    assert result.failed
    assert result.values["rc"] == 3
    assert result.values["stdout"] == f"{box}|a b|{ctx.home}|"
