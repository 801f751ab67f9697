"""`meta`: ask the engine itself for something."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Meta, Result
from nbops.base.command import Effect
from nbops.runbook.spec import ActionSpec, Args

What = Literal[
    "clear_facts",
    "clear_host_errors",
    "end_batch",
    "end_host",
    "end_play",
    "flush_handlers",
    "noop",
    "refresh_inventory",
    "reset_connection",
]


class MetaArgs(Args):
    """The argument of `meta`."""

    what: What = Field(description="What the engine is to do.")


class MetaAction:
    """Hands the engine a directive."""

    spec = ActionSpec(
        name="meta",
        args=MetaArgs,
        summary="Run the notified handlers now, end the play for a host, and the like.",
        example="- meta: flush_handlers\n",
        free_form="what",
        local=True,
        flow=True,
        effect=Effect.NONE,
    )

    def run(self, args: MetaArgs, ctx: ActionContext) -> Result:  # noqa: ARG002
        """The directive."""
        return Result(directive=Meta(args.what))
