"""`include_tasks`: the tasks of another file, decided while the play runs."""

from __future__ import annotations

from pydantic import Field

from nbops.actions.api import ActionContext, IncludeTasks, Result
from nbops.actions.values import Path
from nbops.base.command import Effect
from nbops.runbook.spec import ActionSpec, Args


class IncludeTasksArgs(Args):
    """The arguments of `include_tasks`."""

    file: Path = Field(description="The file, beside the one that includes it.")


class IncludeTasksAction:
    """Hands the engine a file."""

    spec = ActionSpec(
        name="include_tasks",
        args=IncludeTasksArgs,
        summary="Run the tasks of another file for the hosts that get here.",
        example="- include_tasks: '{{ database.kind }}.yml'\n",
        free_form="file",
        local=True,
        flow=True,
        effect=Effect.NONE,
        returns={"include": "The file."},
    )

    def run(self, args: IncludeTasksArgs, ctx: ActionContext) -> Result:  # noqa: ARG002
        """The directive."""
        return Result(values={"include": args.file}, directive=IncludeTasks(args.file))
