"""`nbops upgrade` and `nbops rollback`: another version, and the way back."""

from __future__ import annotations

from typing import Annotated

import typer

from nbops.cli.carry_out import carry_out
from nbops.cli.options import AcceptDataLoss, Check, Diff, InventoryFile, Output, Target, expand


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
    on_failure: Annotated[
        str | None,
        typer.Option(
            "--on-failure",
            metavar="rollback|stop|ask",
            help="What becomes of an upgrade that fails; else what upgrade.on_failure says.",
            show_default=False,
        ),
    ] = None,
    check: Check = False,
    diff: Diff = False,
) -> None:
    """Bring the cluster to a later version by the documented procedure.

    Visitors get a 503 page from before the first node stops until the new version is verified.
    When it fails before that, everything is put back as it was (exit code 3).
    """
    from nbops.base.errors import UsageError
    from nbops.engine.run import OnFailure

    try:
        chosen = OnFailure(on_failure) if on_failure else None
    except ValueError:
        raise UsageError(
            f"--on-failure {on_failure}: it is rollback, stop or ask",
            hint="`rollback` goes back by itself, `stop` leaves the 503 page standing",
        ) from None
    carry_out(
        "upgrade",
        target,
        output,
        inventory_file,
        version=version,
        on_failure=chosen,
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
