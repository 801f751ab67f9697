"""`nbops check`: everything that could stop a deploy or upgrade, and no change made."""

from __future__ import annotations

import sys

import typer

from nbops.base.errors import UsageError
from nbops.cli import runbooks, show
from nbops.cli.extra import extra_vars
from nbops.cli.options import InventoryFile, Output, Target, expand


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(epilog="Example: nbops check inventory.yml")(expand(check))


def check(
    target: Target,
    output: Output,
    inventory_file: InventoryFile = None,
) -> None:
    """Find everything that could stop a deploy or upgrade. Changes nothing on any host.

    Exit codes: 0 nothing in the way, 1 problems, 2 a wrong inventory, 4 hosts that cannot be used.
    """
    from nbops.cli import wire
    from nbops.cli.cluster import Cluster
    from nbops.cli.run_options import RunOptions
    from nbops.report.check import CheckObserver

    inventory = target.inventory_path(inventory_file)
    variables = extra_vars(target.extra_vars or ())
    if Cluster(inventory, variables).settings is None:
        raise UsageError(
            f"{inventory}: no `nocobase:` settings, so there is no cluster to check",
            hint="`nbops init` writes an inventory that has them",
        )
    live = sys.stderr.isatty() and not (output.json or output.plain)
    seen = CheckObserver(_say if live else lambda _: None)
    options = RunOptions(
        command="check",
        runbook=runbooks.find("check", inventory),
        inventory=inventory,
        extra_vars=variables,
        forks=target.forks,
        check=True,
        observer=seen,
    )
    try:
        wire.run(options)
    finally:
        if live:
            sys.stderr.write("\r\x1b[K")
    if output.json:
        show.document(seen.document())
    else:
        for one in seen.lines():
            show.text(one.text)
    raise typer.Exit(seen.exit_code)


def _say(message: str) -> None:
    """How far it is, on a line of its own that the next one replaces."""
    sys.stderr.write(f"\r\x1b[K{message}")
    sys.stderr.flush()
