"""Actions that stay on this side: messages, conditions, variables, directives."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydantic import ValidationError

from nbops.actions.api import IncludeTasks, Meta
from nbops.actions.assertion import AssertAction
from nbops.actions.builtin import BUILTIN
from nbops.actions.debug import DebugAction, DebugArgs
from nbops.actions.fail import FailAction
from nbops.actions.include_tasks import IncludeTasksAction
from nbops.actions.meta import MetaAction, MetaArgs
from nbops.actions.pause import PauseAction, PauseArgs
from nbops.actions.ping import PingAction
from nbops.actions.registry import Registry
from nbops.actions.set_fact import SetFactAction, SetFactArgs
from nbops.base.command import Effect
from nbops.base.errors import ActionFailed, Interrupted
from nbops.base.secret import Secret
from tests.actions.conftest import LocalContext, do


@pytest.fixture
def knowing(ctx: LocalContext) -> LocalContext:
    """A context with some variables."""
    ctx.vars = {"name": "db", "port": 5432, "key": Secret("s3cret"), "rows": [{"a": 1}]}
    return ctx


@pytest.mark.parametrize(
    ("expression", "value"),
    [("name", "db"), ("port + 1", 5433), ("rows[0]", {"a": 1}), ("{{ port }}", 5432)],
)
def test_debug_shows_what_an_expression_comes_to(
    knowing: LocalContext, expression: str, value: Any
) -> None:
    assert do(DebugAction(), knowing, var=expression).values == {expression: value}


def test_debug_never_shows_a_secret(knowing: LocalContext) -> None:
    assert "s3cret" not in str(do(DebugAction(), knowing, var="key"))


def test_debug_says_nothing_to_those_who_did_not_ask(knowing: LocalContext) -> None:
    assert do(DebugAction(), knowing, msg="x", verbosity=1).skipped
    knowing.vars = {"ansible_verbosity": 1}
    assert do(DebugAction(), knowing, msg="x", verbosity=1).values == {"msg": "x"}


def test_an_undefined_variable_is_shown_as_such(ctx: LocalContext) -> None:
    result = do(DebugAction(), ctx, var="nothing")
    assert not result.failed
    assert result.values == {"nothing": "<< error 1 - 'nothing' is undefined >>"}


@pytest.mark.parametrize("that", ["port == 5432", ["port > 1", "name is match('d')"], True])
def test_conditions_that_hold_pass(knowing: LocalContext, that: Any) -> None:
    result = do(AssertAction(), knowing, that=that)
    assert (result.failed, result.values["msg"]) == (False, "All assertions passed")


def test_the_condition_that_does_not_hold_is_shown(knowing: LocalContext) -> None:
    result = do(AssertAction(), knowing, that=["port == 5432", "name == 'x'"], msg="wrong name")
    assert result.failed
    assert result.values == {
        "msg": "wrong name",
        "assertion": "name == 'x'",
        "evaluated_to": False,
    }


def test_a_condition_is_true_or_false_and_nothing_else(knowing: LocalContext) -> None:
    with pytest.raises(ActionFailed, match="must have a boolean result"):
        do(AssertAction(), knowing, that="port")


def test_fail_fails(ctx: LocalContext) -> None:
    result = do(FailAction(), ctx, msg=5)
    assert (result.failed, result.values["msg"]) == (True, 5)


def test_facts_keep_their_types(ctx: LocalContext) -> None:
    secret = Secret("x")
    assert do(SetFactAction(), ctx, a=[1], b=secret).facts == {"a": [1], "b": secret}


@pytest.mark.parametrize("arguments", [{}, {"a": 1, "cacheable": True}, {"a-b": 1}])
def test_facts_have_names_and_are_not_kept(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SetFactArgs.model_validate(arguments)


def test_flow_actions_hand_over_a_directive(ctx: LocalContext) -> None:
    assert do(MetaAction(), ctx, what="end_host").directive == Meta("end_host")
    assert do(IncludeTasksAction(), ctx, file="a.yml").directive == IncludeTasks("a.yml")
    with pytest.raises(ValidationError):
        MetaArgs.model_validate({"what": "end_world"})


def test_a_pause_ends_at_once_when_the_run_is_stopped(ctx: LocalContext) -> None:
    timer = threading.Timer(0.1, ctx.stop.set)
    timer.start()
    with pytest.raises(Interrupted):
        do(PauseAction(), ctx, minutes=5)
    timer.join()


def test_a_question_that_yes_answers_is_told_all_the_same(ctx: LocalContext) -> None:
    ctx.vars = {"nbops_assume_yes": True}
    result = do(PauseAction(), ctx, prompt="Look at it through the side door")
    assert result.warnings == ("`--yes`: nobody was asked: Look at it through the side door",)
    assert result.values["user_input"] == ""


def test_a_pause_without_a_terminal_asks_nobody(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    result = do(PauseAction(), ctx, prompt="go on?")
    assert "not interactive" in result.warnings[0]
    with pytest.raises(ValidationError):
        PauseArgs(seconds=1, minutes=1)


def test_ping_takes_one_round_trip(ctx: LocalContext) -> None:
    assert do(PingAction(), ctx).values == {"ping": "pong"}
    assert do(PingAction(), ctx, data="crash").failed
    assert len(ctx.probes) == 2


def test_debug_takes_a_message_or_an_expression() -> None:
    with pytest.raises(ValidationError):
        DebugArgs(msg="a", var="b")


def test_the_registry_knows_actions_with_and_without_a_prefix() -> None:
    registry = Registry(BUILTIN)
    assert registry.get("copy") is registry.get("ansible.builtin.copy")
    assert registry.action("ansible.builtin.copy").spec.name == "copy"
    assert registry.get("kopy") is None
    assert "community.general.copy" not in registry
    assert len(list(registry)) == len(registry) == len(BUILTIN)


def test_two_actions_cannot_bear_one_name() -> None:
    with pytest.raises(ValueError, match="two actions are called `ping`"):
        Registry([PingAction(), PingAction()])


PROMISED = (
    "command shell raw script copy template file stat fetch slurp lineinfile get_url uri wait_for "
    "wait_for_connection service systemd package apt user assert fail debug set_fact pause ping "
    "setup meta include_tasks"
)


def test_all_promised_actions_are_there_and_no_other() -> None:
    assert {spec.name for spec in Registry(BUILTIN)} == set(PROMISED.split())


@pytest.mark.parametrize("action", BUILTIN, ids=lambda action: action.spec.name)
def test_every_action_is_documented(action: Any) -> None:
    spec = action.spec
    assert spec.summary.endswith(".")
    assert spec.name in spec.example
    for name, field in spec.args.model_fields.items():
        assert field.description, f"{spec.name}: {name}"
    if spec.free_form:
        assert spec.free_form in spec.args.model_fields
    if spec.local:
        assert spec.effect is Effect.NONE
