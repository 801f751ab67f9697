"""What commands have in common that carry out one of our runbooks on the whole cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer

from nbops.cli import runbooks
from nbops.cli.extra import extra_vars
from nbops.cli.options import Output, Target


def carry_out(
    name: str,
    target: Target,
    output: Output,
    inventory_file: Path | None = None,
    *,
    given: Mapping[str, Any] | None = None,
    **named: Any,
) -> NoReturn:
    """Run our runbook of this name, or the user's own in its place, and end with its exit code.

    `given` are the variables that the command's own options stand for; `named` is what else
    the command asks for, as `RunOptions` calls it. Raises NbopsError as `wire.run`.
    """
    from nbops.cli import wire
    from nbops.cli.run_options import RunOptions

    inventory = target.inventory_path(inventory_file)
    options = RunOptions(
        command=name.replace("-", " "),
        runbook=runbooks.find(name, inventory),
        inventory=inventory,
        strict=True,
        extra_vars={**extra_vars(target.extra_vars or ()), **(given or {})},
        forks=target.forks,
        json=output.json,
        plain=output.plain,
        verbosity=output.verbosity,
        yes=target.yes,
        **named,
    )
    raise typer.Exit(wire.run(options))
