"""The options that commands share, each declared once.

A command names the groups it takes as parameters (`target: Target`); `expand` turns each
group into its options on the command line and hands the command the filled group.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from nbops.base.errors import UsageError

if TYPE_CHECKING:
    from nbops.engine.run import OnFailure

DEFAULT_INVENTORY = Path("inventory.yml")

InventoryFile = Annotated[
    Path | None,
    typer.Argument(metavar="INVENTORY", help="The inventory.", show_default=False),
]
Check = Annotated[bool, typer.Option("--check", help="Say what would change; change nothing.")]
Diff = Annotated[bool, typer.Option("--diff", help="Show differences in files.")]
Failing = Annotated[
    str | None,
    typer.Option(
        "--on-failure",
        metavar="rollback|stop|ask",
        help="What becomes of it when it fails; else what upgrade.on_failure says.",
        show_default=False,
    ),
]
AcceptDataLoss = Annotated[
    bool,
    typer.Option("--accept-data-loss", help="What was written since may be lost to the users."),
]


@dataclass(frozen=True, kw_only=True)
class Output:
    """How the command speaks."""

    json: Annotated[
        bool,
        typer.Option("--json", help="JSON on standard output; of a run, one object a line."),
    ] = False
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines, also on a terminal.")] = False
    verbosity: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Say more; -vv still more.")
    ] = 0


@dataclass(frozen=True, kw_only=True)
class Target:
    """Which cluster, and how it is approached."""

    inventory: Annotated[
        Path | None,
        typer.Option(
            "-i",
            "--inventory",
            envvar="NBOPS_INVENTORY",
            metavar="FILE",
            help="The inventory; ./inventory.yml when neither this nor the variable is given.",
            show_default=False,
        ),
    ] = None
    extra_vars: Annotated[
        list[str] | None,
        typer.Option(
            "-e",
            "--extra-vars",
            metavar="KEY=VALUE",
            help="A variable over all others; or @FILE.yml, or a JSON object. May be repeated.",
            show_default=False,
        ),
    ] = None
    forks: Annotated[
        int | None,
        typer.Option(
            "--forks", min=1, metavar="N", help="Hosts at the same time.", show_default=False
        ),
    ] = None
    yes: Annotated[bool, typer.Option("--yes", help="Answer questions with yes.")] = False

    def inventory_path(self, named: Path | None = None) -> Path:
        """The inventory's file: `named` as an argument, else by option, else the default.

        Raises UsageError when none is named and there is no ./inventory.yml.
        """
        chosen = named or self.inventory
        if chosen is not None:
            return chosen
        if not DEFAULT_INVENTORY.exists():
            raise UsageError(
                f"no inventory is named, and there is no ./{DEFAULT_INVENTORY}",
                hint="name yours with -i or $NBOPS_INVENTORY; `nbops init` writes one",
            )
        return DEFAULT_INVENTORY


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which part of a runbook, on which hosts, and whether in earnest."""

    limit: Annotated[
        str | None,
        typer.Option("--limit", metavar="PATTERN", help="Only these hosts.", show_default=False),
    ] = None
    tags: Annotated[
        list[str] | None,
        typer.Option("--tags", metavar="TAG,…", help="Only these tags.", show_default=False),
    ] = None
    skip_tags: Annotated[
        list[str] | None,
        typer.Option("--skip-tags", metavar="TAG,…", help="Not these tags.", show_default=False),
    ] = None
    check: Annotated[
        bool, typer.Option("--check", help="Say what would change; change nothing.")
    ] = False
    diff: Annotated[bool, typer.Option("--diff", help="Show differences in files.")] = False


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Where a runbook begins, or only what it would do."""

    start_at_task: Annotated[
        str | None,
        typer.Option(
            "--start-at-task", metavar="NAME", help="Leave out all before it.", show_default=False
        ),
    ] = None
    list_tasks: Annotated[
        bool, typer.Option("--list-tasks", help="Say which tasks would run; run nothing.")
    ] = False
    list_hosts: Annotated[
        bool, typer.Option("--list-hosts", help="Say on which hosts; run nothing.")
    ] = False


def on_failure(word: str | None) -> OnFailure | None:
    """What `--on-failure` says. Raises UsageError when it is no such word."""
    from nbops.engine.run import OnFailure

    try:
        return OnFailure(word) if word else None
    except ValueError:
        raise UsageError(
            f"--on-failure {word}: it is rollback, stop or ask",
            hint="`rollback` goes back by itself, `stop` leaves all as it is then",
        ) from None


def words(values: list[str] | None) -> tuple[str, ...]:
    """`--tags a,b --tags c` as three words."""
    parts = (part.strip() for value in values or () for part in value.split(","))
    return tuple(part for part in parts if part)


def expand(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with each parameter that is a group of options replaced by its options."""
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if isinstance(kind, type) and is_dataclass(kind):
            groups[parameter.name] = kind
            parameters += _options_of(kind)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def called(**values: Any) -> None:
        filled = {
            name: group(**{one.name: values.pop(one.name) for one in fields(group)})
            for name, group in groups.items()
        }
        command(**filled, **values)

    del called.__dict__["__wrapped__"]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    vars(called)["__signature__"] = inspect.Signature(parameters)
    return called


def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in fields(group)
    ]
