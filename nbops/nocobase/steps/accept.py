"""`nocobase_accept`: what is lost by going back is only lost with the operator's word."""

from __future__ import annotations

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.base.errors import RefusedError
from nbops.nocobase.cluster import cluster_of
from nbops.runbook.spec import ActionSpec, Args


class AcceptArgs(Args):
    """The arguments of `nocobase_accept`."""

    answer: str = Field(description="What the operator typed; `yes` accepts.")
    backup: str | None = Field(
        default=None,
        description="The backup that is restored under the version that runs; without it, it is"
        " the way back that `nocobase_release: back` found.",
    )


class Accept:
    """Ends the run where the operator did not agree, before anything is touched."""

    spec = ActionSpec(
        name="nocobase_accept",
        args=AcceptArgs,
        summary="Go on only when it is accepted that what was written since the backup is lost.",
        example='- nocobase_accept: "{{ said.user_input }}"\n',
        free_form="answer",
        effect=Effect.NONE,
        local=True,
    )

    def run(self, args: AcceptArgs, ctx: ActionContext) -> Result:
        """`--yes --accept-data-loss` accepts as well; check mode needs no word."""
        if ctx.check or ctx.vars["nbops_accept_data_loss"] or args.answer.strip() == "yes":
            return Result()
        raise RefusedError(
            f"{cluster_of(ctx.vars).name} does not {_goes(args.backup, ctx)} would be lost to the"
            " users",
            hint="type `yes` when it asks, or say `--yes --accept-data-loss`",
        )


def _goes(backup: str | None, ctx: ActionContext) -> str:
    since = "without your word: all that was written since the backup"
    if backup is not None:
        return f"get another database {since} {backup}"
    back = ctx.vars["nocobase_back"]
    target = f"{back['to']['version']} (release {back['to']['number']})"
    return f"go back to {target} {since} {back['backup']}"
