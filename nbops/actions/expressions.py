"""Expressions that an action evaluates itself: `assert: that`, `debug: var`."""

from __future__ import annotations

import json
from typing import Any

from nbops.actions.api import ActionContext
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret


def evaluate(expression: Any, ctx: ActionContext) -> Any:
    """The value of an expression with the task's variables; what is no text stays as it is.

    A value that a secret went into is a Secret. Raises ActionFailed when a variable in it is
    undefined or it is not an expression.
    """
    if not isinstance(expression, str):
        return expression
    text = expression.strip()
    if text.startswith("{{") and text.endswith("}}"):
        text = text[2:-2]
    rendered = ctx.render(f"{{{{ ({text}) | to_json }}}}")
    return rendered if isinstance(rendered, Secret) else json.loads(rendered)


def holds(condition: Any, ctx: ActionContext) -> bool:
    """Whether a condition is true. Raises ActionFailed when it is neither true nor false."""
    value = evaluate(condition, ctx)
    if isinstance(value, bool):
        return value
    raise ActionFailed(
        f"`{condition}` is neither true nor false",
        hint="compare it (`x == 1`, `x | length > 0`) or use `| bool`",
    )
