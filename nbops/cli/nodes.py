"""`nbops stop`, `nbops start` and `nbops restart`: the nodes as they are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nbops.cli import runbooks
from nbops.cli.extra import extra_vars
from nbops.cli.options import Output, Target, expand

Inventory = Annotated[
    Path | None,
    typer.Argument(metavar="[INVENTORY]", help="The inventory.", show_default=False),
]
Check = Annotated[bool, typer.Option("--check", help="Say what would change; change nothing.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Examples: nbops stop; nbops stop --no-page; nbops stop --check")(
        expand(stop)
    )
    app.command(epilog="Examples: nbops start; nbops start --check")(expand(start))
    app.command(epilog="Examples: nbops restart; nbops restart --json")(expand(restart))


def stop(
    target: Target,
    output: Output,
    inventory_file: Inventory = None,
    page: Annotated[
        bool,
        typer.Option(
            "--page/--no-page", help="Put the 503 page up first; else visitors get errors."
        ),
    ] = True,
    check: Check = False,
) -> None:
    """Stop all nodes behind the 503 page. Nothing comes back until `nbops start`.

    Redis and the database go on running.
    """
    _carry_out("stop", target, output, inventory_file, check=check, given={"nbops_page": page})


def start(
    target: Target, output: Output, inventory_file: Inventory = None, check: Check = False
) -> None:
    """Start all nodes as they are recorded: one, then the others; then let visitors in.

    What was edited in the inventory since is for `nbops deploy`; this is also the way back when
    a deploy failed behind its 503 page.
    """
    _carry_out("start", target, output, inventory_file, check=check, given={})


def restart(
    target: Target, output: Output, inventory_file: Inventory = None, check: Check = False
) -> None:
    """Restart the nodes one after the other, as they are recorded; visitors notice nothing.

    Each is taken out of every balancer, and put back when it serves. Fails, before it touches
    a node, when no other one serves meanwhile.
    """
    _carry_out("restart", target, output, inventory_file, check=check, given={})


def _carry_out(
    name: str,
    target: Target,
    output: Output,
    inventory_file: Path | None,
    *,
    check: bool,
    given: Mapping[str, Any],
) -> None:
    from nbops.cli import wire
    from nbops.engine.run import OnFailure

    inventory = target.inventory_path(inventory_file)
    options = wire.RunOptions(
        command=name,
        runbook=runbooks.find(name, inventory),
        inventory=inventory,
        strict=True,
        extra_vars={**given, **extra_vars(target.extra_vars or ())},
        forks=target.forks,
        on_failure=OnFailure.STOP,
        check=check,
        json=output.json,
        plain=output.plain,
        verbosity=output.verbosity,
        yes=target.yes,
    )
    raise typer.Exit(wire.run(options))
