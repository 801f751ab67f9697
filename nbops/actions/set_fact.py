"""`set_fact`: variables for a host, from here on."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.runbook.spec import ActionSpec, Args


class SetFactArgs(Args):
    """Any names and values."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)

    cacheable: bool = Field(False, description="Refused: nothing is kept between runs.")

    @model_validator(mode="after")
    def _names(self) -> SetFactArgs:
        if self.cacheable:
            raise ValueError("`cacheable` is not supported: nbops keeps no facts between runs")
        if not self.model_extra:
            raise ValueError("No key/value pairs provided, at least one is required")
        for name in self.model_extra:
            if not name.isidentifier():
                raise ValueError(f"`{name}` is not a name: letters, digits and _ only")
        return self

    def facts(self) -> dict[str, Any]:
        """The variables."""
        return dict(self.model_extra or {})


class SetFactAction:
    """Sets variables of the host."""

    spec = ActionSpec(
        name="set_fact",
        args=SetFactArgs,
        summary="Set variables of the host for the rest of the run.",
        example="- set_fact:\n    newest: '{{ backups.stdout_lines | last }}'\n",
        local=True,
        effect=Effect.NONE,
        returns={"ansible_facts": "The variables."},
    )

    def run(self, args: SetFactArgs, ctx: ActionContext) -> Result:  # noqa: ARG002
        """Hand the variables to the engine."""
        return Result(facts=args.facts())
