"""`nbops upgrade` and `nbops rollback`: another version, and the way back."""

from __future__ import annotations

from typing import Annotated

import typer

from nbops.cli.carry_out import carry_out
from nbops.cli.options import (
    AcceptDataLoss,
    Check,
    Diff,
    Failing,
    InventoryFile,
    Output,
    Target,
    expand,
    on_failure,
)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(
        epilog="Examples: nbops upgrade --version 2.2.16; nbops upgrade --version 2.2.16 --check"
    )(expand(upgrade))
    app.command(epilog="Examples: nbops rollback; nbops rollback --to 3 --yes --accept-data-loss")(
        expand(rollback)
    )


def upgrade(  # noqa: PLR0917  typer's options
    target: Target,
    output: Output,
    version: Annotated[
        str, typer.Option("--version", metavar="V", help="The version that is to run.")
    ],
    inventory_file: InventoryFile = None,
    failing: Failing = None,
    check: Check = False,
    diff: Diff = False,
) -> None:
    """Bring the cluster to a later version by the documented procedure.

    Visitors get a 503 page from before the first node stops until the new version is verified.
    When it fails before that, everything is put back as it was (exit code 3).
    """
    carry_out(
        "upgrade",
        target,
        output,
        inventory_file,
        version=version,
        on_failure=on_failure(failing),
        check=check,
        diff=diff,
    )


def rollback(  # noqa: PLR0917  typer's options
    target: Target,
    output: Output,
    inventory_file: InventoryFile = None,
    to: Annotated[
        int | None,
        typer.Option(
            "--to",
            metavar="RELEASE",
            help="The number of a release.",
            show_default="the one before",
        ),
    ] = None,
    accept_data_loss: AcceptDataLoss = False,
    check: Check = False,
    diff: Diff = False,
) -> None:
    """Go back to the release before: image, settings and database.

    Says what will be lost and asks. The database that is replaced is kept, and backed up.
    """
    from nbops.engine.run import OnFailure

    carry_out(
        "rollback",
        target,
        output,
        inventory_file,
        to=to,
        accept_data_loss=accept_data_loss and target.yes,
        on_failure=OnFailure.STOP,
        check=check,
        diff=diff,
    )
