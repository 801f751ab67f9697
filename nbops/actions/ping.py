"""`ping`: whether a host can be worked with."""

from __future__ import annotations

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.outcome import failed, must
from nbops.actions.values import AnyText
from nbops.base.command import Effect
from nbops.base.secret import reveal
from nbops.runbook.spec import ActionSpec, Args


class PingArgs(Args):
    """The argument of `ping`."""

    data: AnyText = Field("pong", description="What to answer; `crash` fails.")


class PingAction:
    """One round trip."""

    spec = ActionSpec(
        name="ping",
        args=PingArgs,
        summary="Check that the host can be reached and runs a shell.",
        example="- ping:\n",
        effect=Effect.NONE,
        returns={"ping": "The text given."},
    )

    def run(self, args: PingArgs, ctx: ActionContext) -> Result:
        """Answer, by way of the host's shell."""
        must(ctx.probe(":\n"), "ping")
        if reveal(args.data) == "crash":
            return failed("boom")
        return Result(values={"ping": args.data})
