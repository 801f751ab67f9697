"""`fail`: fail with a message."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.runbook.spec import ActionSpec, Args


class FailArgs(Args):
    """The arguments of `fail`."""

    msg: Any = Field("Failed as requested from task", description="Why.")


class FailAction:
    """Fails."""

    spec = ActionSpec(
        name="fail",
        args=FailArgs,
        summary="Fail with a message.",
        example="- fail:\n    msg: no backup is younger than a day\n  when: backups == []\n",
        local=True,
        effect=Effect.NONE,
    )

    def run(self, args: FailArgs, ctx: ActionContext) -> Result:  # noqa: ARG002
        """Fail."""
        return Result(failed=True, values={"msg": args.msg})
