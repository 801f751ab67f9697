"""`debug`: say something."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, model_validator

from nbops.actions.api import ActionContext, Result
from nbops.actions.values import EXPRESSION
from nbops.base.command import Effect
from nbops.base.errors import ActionFailed
from nbops.runbook.spec import ActionSpec, Args

# What is undefined is shown as such, not a failure: one looks at a variable to see whether it is.
_UNDEFINED = re.compile(r"' is undefined\Z|has no attribute ")


class DebugArgs(Args):
    """The arguments of `debug`."""

    msg: Any = Field(None, description="What to say (`Hello world!`).")
    var: Any = Field(
        None, description="An expression whose value is said.", json_schema_extra=EXPRESSION
    )
    verbosity: int = Field(0, description="Say it only with so many `-v`.")

    @model_validator(mode="after")
    def _one(self) -> DebugArgs:
        if {"msg", "var"} <= self.model_fields_set:
            raise ValueError("'msg' and 'var' are incompatible options")
        if "var" in self.model_fields_set and not isinstance(self.var, str):
            raise ValueError("`var` is one expression, as a text")
        return self


class DebugAction:
    """Says a message, or the value of an expression."""

    spec = ActionSpec(
        name="debug",
        args=DebugArgs,
        summary="Say a message or the value of a variable.",
        example="- debug:\n    var: release.version\n",
        local=True,
        effect=Effect.NONE,
        returns={"msg": "The message; for `var`, the value under the expression's name."},
    )

    def run(self, args: DebugArgs, ctx: ActionContext) -> Result:
        """The message as result, unless it is for more verbose runs."""
        if int(ctx.vars.get("ansible_verbosity", 0)) < args.verbosity:
            return Result(skipped=True, values={"skipped_reason": "Verbosity threshold not met."})
        if "var" in args.model_fields_set:
            return Result(values={str(args.var): _value(args.var, ctx)})
        return Result(
            values={"msg": args.msg if "msg" in args.model_fields_set else "Hello world!"}
        )


def _value(expression: Any, ctx: ActionContext) -> Any:
    """What an expression comes to; braces around it change nothing."""
    if not isinstance(expression, str):
        return expression
    text = expression.strip()
    if text.startswith("{{") and text.endswith("}}"):
        text = text[2:-2].strip()
    try:
        return ctx.evaluate(text)
    except ActionFailed as error:
        said = error.problems[0].message
        if not _UNDEFINED.search(said):
            raise
        return f"<< error 1 - {said} >>"
