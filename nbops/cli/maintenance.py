"""`nbops maintenance`: the 503 page, up and down."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nbops.cli import runbooks
from nbops.cli.extra import extra_vars
from nbops.cli.options import Output, Target, expand


class Switch(StrEnum):
    """Up or down."""

    ON = "on"
    OFF = "off"


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(
        epilog="Examples: nbops maintenance on; nbops maintenance off -i inventory.yml; "
        "nbops maintenance on --check says what would change."
    )(expand(maintenance))


def maintenance(
    state: Annotated[Switch, typer.Argument(metavar="on|off", help="The page up, or down.")],
    target: Target,
    output: Output,
    inventory_file: Annotated[
        Path | None,
        typer.Argument(metavar="[INVENTORY]", help="The inventory.", show_default=False),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say what would change; change nothing.")
    ] = False,
) -> None:
    """Show every visitor the 503 page, or let them in again. The nodes go on running.

    `on` lets requests in flight end and tells the side door through which you still reach the
    app; `off` is refused while no node answers.
    """
    from nbops.cli import wire

    inventory = target.inventory_path(inventory_file)
    name = f"maintenance-{state.value}"
    options = wire.RunOptions(
        command=name.replace("-", " "),
        runbook=runbooks.find(name, inventory),
        inventory=inventory,
        strict=True,
        extra_vars=extra_vars(target.extra_vars or ()),
        forks=target.forks,
        check=check,
        json=output.json,
        plain=output.plain,
        verbosity=output.verbosity,
        yes=target.yes,
    )
    raise typer.Exit(wire.run(options))
