"""Commands about the language of runbooks: they read, and contact nothing."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nbops.base.errors import Problem, UsageError
from nbops.base.yamlpos import did_you_mean
from nbops.cli import runbooks, show
from nbops.cli.options import DEFAULT_INVENTORY, Output, expand
from nbops.report.lines import count

if TYPE_CHECKING:
    from nbops.runbook.lint import Finding
    from nbops.runbook.spec import ActionSpec


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Example: nbops lint runbooks/*.yml")(expand(lint))
    app.command(epilog="Example: nbops schema runbook >runbook.schema.json")(schema)
    app.command(epilog="Example: nbops actions copy")(expand(actions))


class Kind(StrEnum):
    """What there is a schema of."""

    RUNBOOK = "runbook"
    INVENTORY = "inventory"


def lint(
    output: Output,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUNBOOK…",
            help="Files, or names in runbooks/; without one, all there, hooks/ and tasks/ too.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find what is wrong in runbooks, and what loads but will bite. Contacts nothing.

    Exit code 2 when one does not load, 1 when there are findings.
    """
    files = _runbooks(names or [])
    findings: dict[Finding, None] = {}
    problems: dict[Problem, None] = (
        {} if names else dict.fromkeys(runbooks.stray_hooks(DEFAULT_INVENTORY))
    )
    for path in files:
        try:
            findings.update(dict.fromkeys(_findings(path)))
        except UsageError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        _tell_findings([] if output.json else list(findings))
        raise UsageError.of(problems)
    _tell(list(findings), files, output)
    if findings:
        raise typer.Exit(1)


def _findings(path: Path) -> list[Finding]:
    """What is found in a runbook, or in a file of tasks beside runbooks."""
    from nbops.cli import wire
    from nbops.runbook import lint
    from nbops.runbook.load import holds_tasks, load_runbook

    catalog = wire.catalog()
    root = path.parent.parent if path.parent.name in {"tasks", runbooks.HOOKS} else path.parent
    if holds_tasks(path):
        return lint.lint_tasks(path, root, catalog)
    own = (root,) if path.parent.name == runbooks.HOOKS else ()
    return lint.lint(load_runbook(path, catalog, overlay=own), catalog)


def schema(
    kind: Annotated[Kind, typer.Argument(metavar="runbook|inventory", show_default=False)],
) -> None:
    """The JSON Schema of runbooks or inventories, for editors."""
    if kind is Kind.RUNBOOK:
        from nbops.cli import wire
        from nbops.runbook.schema import runbook_schema

        show.document(runbook_schema(wire.catalog()))
    else:
        from nbops.nocobase.inventory_schema import inventory_schema

        show.document(inventory_schema())


def _runbooks(names: list[str]) -> list[Path]:
    inventory = DEFAULT_INVENTORY
    if names:
        return [runbooks.find(name, inventory) for name in names]
    folder = runbooks.beside(inventory)
    parts = (folder, folder / runbooks.HOOKS, folder / "tasks")
    found = [path for part in parts for path in runbooks.files(part)]
    if not found:
        raise UsageError(
            f"there are no runbooks in ./{folder}", hint="name the files: `nbops lint FILE…`"
        )
    return found


def _tell(findings: list[Finding], files: list[Path], output: Output) -> None:
    if output.json:
        show.document(findings)
        return
    _tell_findings(findings)
    found = count(len(findings), "finding") if findings else "nothing found"
    show.text(f"{found} in {count(len(files), 'file')}")


def _tell_findings(findings: list[Finding]) -> None:
    for one in findings:
        show.text(str(one))
        if one.hint:
            show.text(f"  hint: {one.hint}")


def actions(
    output: Output,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only this one.", show_default=False)
    ] = None,
) -> None:
    """The actions that a runbook may use, or all about one of them."""
    from nbops.cli import wire
    from nbops.runbook import foreign, keywords

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
        instead = foreign.MODULES.get(name) or keywords.REFUSED.get(name)
        hint = instead or did_you_mean(name, known) or "`nbops actions` lists them"
        raise UsageError(f"there is no action `{name}`", hint=hint)
    if output.json:
        show.document(_as_data(spec))
    else:
        _show_action(spec)


def _show_action(spec: ActionSpec) -> None:
    show.text(f"{spec.name}: {spec.summary}")
    from nbops.runbook import describe

    rows = [
        (
            ", ".join((one.name, *one.aliases)) + (" (required)" if one.required else ""),
            one.takes.replace("`", ""),
            one.default,
            one.doc,
        )
        for one in describe.arguments(spec)
    ]
    if rows:
        show.text("")
        show.table(("ARGUMENT", "TAKES", "DEFAULT", "MEANING"), rows)
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
    from nbops.runbook import describe

    return {
        one.name: {
            "required": one.required,
            "takes": one.takes.replace("`", ""),
            "aliases": one.aliases,
            "default": json.loads(one.default) if one.default else None,
            "description": one.doc,
        }
        for one in describe.arguments(spec)
    }
