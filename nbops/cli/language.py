"""Commands about the language of runbooks: they read, and contact nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nbops.base.errors import UsageError
from nbops.base.yamlpos import did_you_mean
from nbops.cli import show
from nbops.cli.options import Output, expand

if TYPE_CHECKING:
    from nbops.runbook.spec import ActionSpec


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Example: nbops actions copy")(expand(actions))


def actions(
    output: Output,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this one.", show_default=False)
    ] = None,
) -> None:
    """The actions that a runbook may use, or all about one of them."""
    from nbops.cli import wire

    catalog = wire.catalog()
    specs = sorted(catalog, key=lambda spec: spec.name)
    if name is None:
        if output.json:
            show.document([_as_data(spec) for spec in specs])
        else:
            show.table(("ACTION", "DOES"), [(spec.name, spec.summary) for spec in specs])
        return
    spec = catalog.get(name)
    if spec is None:
        known = [one.name for one in specs]
        hint = did_you_mean(name, known) or "`nbops actions` lists them"
        raise UsageError(f"there is no action `{name}`", hint=hint)
    if output.json:
        show.document(_as_data(spec))
    else:
        _show_action(spec)


def _show_action(spec: ActionSpec) -> None:
    show.text(f"{spec.name}: {spec.summary}")
    rows = [
        (
            f"{name} (required)" if one["required"] else name,
            "" if one["default"] is None else str(one["default"]),
            one["description"],
        )
        for name, one in sorted(_arguments(spec).items(), key=lambda one: not one[1]["required"])
    ]
    if rows:
        show.text("")
        show.table(("ARGUMENT", "DEFAULT", "MEANING"), rows)
    if spec.free_form:
        show.text(f"\nA plain text stands for `{spec.free_form}`.")
    if spec.returns:
        show.text("")
        show.table(("RETURNS", "MEANING"), list(spec.returns.items()))
    show.text(f"\nExample:\n{spec.example}")


def _as_data(spec: ActionSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "summary": spec.summary,
        "arguments": _arguments(spec),
        "free_form": spec.free_form,
        "check": spec.check,
        "returns": dict(spec.returns),
        "example": spec.example,
    }


def _arguments(spec: ActionSpec) -> dict[str, dict[str, Any]]:
    return {
        (field.alias or name): {
            "required": field.is_required(),
            "default": None if field.is_required() else field.default,
            "description": field.description or "",
        }
        for name, field in spec.args.model_fields.items()
    }
