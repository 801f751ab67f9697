"""`nbops maintenance`: the 503 page, up and down."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from nbops.cli.carry_out import carry_out
from nbops.cli.options import Check, Diff, InventoryFile, Output, Target, expand


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


def maintenance(  # noqa: PLR0917  typer's options
    state: Annotated[Switch, typer.Argument(metavar="on|off", help="The page up, or down.")],
    target: Target,
    output: Output,
    inventory_file: InventoryFile = None,
    check: Check = False,
    diff: Diff = False,
) -> None:
    """Show every visitor the 503 page, or let them in again. The nodes go on running.

    `on` lets requests in flight end and tells the side door through which you still reach the
    app; `off` is refused while no node answers.
    """
    carry_out(f"maintenance-{state.value}", target, output, inventory_file, check=check, diff=diff)
