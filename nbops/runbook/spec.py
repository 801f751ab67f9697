"""What the language knows of an action: its name, its arguments, what it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from nbops.base.command import Effect


class Args(BaseModel):
    """The base of every action's arguments: unknown names are refused, aliases accepted.

    An argument that is an expression without braces, which the action evaluates itself, says
    so with `json_schema_extra={"expression": True}`: it is never rendered before.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)


class NoArgs(Args):
    """For actions that take none."""


@dataclass(frozen=True)
class ActionSpec:
    """An action as the loader, the linter, the schema and the documentation see it.

    `free_form` names the argument that a plain text stands for (`command: uptime`).
    `local` actions never connect to the host. `effect` is NONE when the action changes
    nothing on hosts. An action that is not `repeatable` is not done a second time when nobody
    can say whether it was done. `check` tells what it does in check mode. `environment` tells
    whether the keyword of that name reaches it. `returns` maps the keys of its result to what
    they hold.
    """

    name: str
    args: type[Args]
    summary: str
    example: str
    free_form: str | None = None
    local: bool = False
    once: bool = False
    flow: bool = False
    effect: Effect = Effect.JOB
    repeatable: bool = True
    check: str = "full"
    environment: bool = True
    returns: Mapping[str, str] = field(default_factory=dict)


class Catalog(Protocol):
    """The actions that a runbook may use, by name."""

    def get(self, name: str) -> ActionSpec | None:
        """The action of this name, with or without the `ansible.builtin.` prefix; else None."""

    def __iter__(self) -> Iterator[ActionSpec]: ...
