"""`nbops stop`, `nbops start` and `nbops restart`: the nodes as they are recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from nbops.cli.carry_out import carry_out
from nbops.cli.options import Check, Diff, InventoryFile, Output, Target, expand


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Examples: nbops stop; nbops stop --no-page; nbops stop --check")(
        expand(stop)
    )
    app.command(epilog="Examples: nbops start; nbops start --check")(expand(start))
    app.command(epilog="Examples: nbops restart; nbops restart --json")(expand(restart))


def stop(  # noqa: PLR0917  typer's options
    target: Target,
    output: Output,
    inventory_file: InventoryFile = None,
    page: Annotated[
        bool,
        typer.Option(
            "--page/--no-page", help="Put the 503 page up first; else visitors get errors."
        ),
    ] = True,
    check: Check = False,
    diff: Diff = False,
) -> None:
    """Stop all nodes behind the 503 page. Nothing comes back until `nbops start`.

    Redis and the database go on running.
    """
    given = {"nbops_page": page}
    _carry_out("stop", target, output, inventory_file, check=check, diff=diff, given=given)


def start(
    target: Target,
    output: Output,
    inventory_file: InventoryFile = None,
    check: Check = False,
    diff: Diff = False,
) -> None:
    """Start all nodes as they are recorded: one, then the others; then let visitors in.

    What was edited in the inventory since is for `nbops deploy`; this is also the way back when
    a deploy failed behind its 503 page.
    """
    _carry_out("start", target, output, inventory_file, check=check, diff=diff)


def restart(
    target: Target,
    output: Output,
    inventory_file: InventoryFile = None,
    check: Check = False,
    diff: Diff = False,
) -> None:
    """Restart the nodes one after the other, as they are recorded; visitors notice nothing.

    Each is taken out of every balancer, and put back when it serves. Fails, before it touches
    a node, when no other one serves meanwhile.
    """
    _carry_out("restart", target, output, inventory_file, check=check, diff=diff)


def _carry_out(
    name: str, target: Target, output: Output, inventory_file: Path | None, **named: Any
) -> NoReturn:
    from nbops.engine.run import OnFailure

    carry_out(name, target, output, inventory_file, on_failure=OnFailure.STOP, **named)
