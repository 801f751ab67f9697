"""`assert`: fail when a condition does not hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.values import EXPRESSION, AnyText
from nbops.base.command import Effect, Text
from nbops.runbook.spec import ActionSpec, Args


def _conditions(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _message_list(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        raise ValueError("a text or a list of texts is required")
    return _conditions(value)


Message = Annotated[list[AnyText], BeforeValidator(_message_list)]


class AssertArgs(Args):
    """The arguments of `assert`."""

    that: Annotated[list[Any], BeforeValidator(_conditions)] = Field(
        description="Conditions that must all hold.", json_schema_extra=EXPRESSION
    )
    fail_msg: Message | None = Field(
        None, description="What to say else.", validation_alias=AliasChoices("fail_msg", "msg")
    )
    success_msg: Message | None = Field(None, description="What to say when they hold.")
    quiet: bool = Field(False, description="Say less.")


class AssertAction:
    """Fails when a condition does not hold."""

    spec = ActionSpec(
        name="assert",
        args=AssertArgs,
        summary="Fail unless all conditions hold.",
        example="- assert:\n    that:\n      - disk_free_mb | int > 2000\n"
        "    fail_msg: less than 2 GB free\n",
        local=True,
        effect=Effect.NONE,
        returns={
            "assertion": "The condition that does not hold.",
            "evaluated_to": "What it came to.",
        },
    )

    def run(self, args: AssertArgs, ctx: ActionContext) -> Result:
        """Check one condition after the other."""
        for condition in args.that:
            if not ctx.holds(condition):
                return Result(
                    failed=True,
                    values={
                        "msg": _message(args.fail_msg, "Assertion failed"),
                        "assertion": condition,
                        "evaluated_to": False,
                    },
                )
        return Result(values={"msg": _message(args.success_msg, "All assertions passed")})


def _message(given: list[Text] | None, default: str) -> Any:
    if given is None:
        return default
    return given[0] if len(given) == 1 else given
