"""`nbops init`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from nbops.cli import show
from nbops.cli.options import Output, expand


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(epilog="Example: nbops init cluster, then edit cluster/inventory.yml")(expand(init))


def init(
    output: Output,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to.")] = Path(),
) -> None:
    """Write a commented inventory and freshly drawn secrets; nothing is overwritten."""
    from nbops.nocobase.init import write_example

    written = write_example(folder)
    if output.json:
        show.document({"written": written})
        return
    for path in written:
        show.text(str(path))
    inventory = folder / "inventory.yml"
    words = "nbops deploy" if folder == Path() else f"nbops deploy {shlex.quote(str(inventory))}"
    show.text(f"\nnext: edit {inventory}, then `{words}`")
