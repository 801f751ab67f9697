"""`nbops plugin`: plugins of the app enabled or disabled, by the documented procedure."""

from __future__ import annotations

from typing import Annotated

import typer

from nbops.cli.carry_out import carry_out
from nbops.cli.options import Check, Diff, Output, Target, expand

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME…", help="As the app calls it, or its package.", show_default=False
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    plugin = typer.Typer(
        no_args_is_help=True, help="Plugins of the app, by the procedure of an upgrade."
    )
    ends = "Exit codes: 0 done, 2 refused, 3 failed and put back as it was."
    plugin.command(epilog=f"Examples: nbops plugin enable map; ... map kanban --check. {ends}")(
        expand(enable)
    )
    plugin.command(
        epilog=f"Examples: nbops plugin disable map; ... @nocobase/plugin-map --check. {ends}"
    )(expand(disable))
    app.add_typer(plugin, name="plugin")


def enable(
    names: Names, target: Target, output: Output, check: Check = False, diff: Diff = False
) -> None:
    """Enable plugins whose packages the nodes have: those of the app, and of `plugins.local`.

    503, all nodes stop, the database is backed up, one node starts alone and enables them, it is
    verified, the others start, traffic. When it fails before that, all is put back as it was.
    `nbops rollback` brings the database of before back later.
    """
    _switch("enable", names, target, output, check=check, diff=diff)


def disable(
    names: Names, target: Target, output: Output, check: Check = False, diff: Diff = False
) -> None:
    """Disable plugins; what they keep in the database stays there.

    By the same procedure as `nbops plugin enable`. Refused for those that are a part of the app,
    and for those in `plugins.append`, which the app enables at every start.
    """
    _switch("disable", names, target, output, check=check, diff=diff)


def _switch(
    verb: str, names: list[str], target: Target, output: Output, *, check: bool, diff: bool
) -> None:
    from nbops.engine.run import OnFailure

    given = {"nbops_plugins": list(dict.fromkeys(names)), "nbops_enable": verb == "enable"}
    failed = OnFailure.ROLLBACK
    carry_out(
        f"plugin-{verb}", target, output, given=given, on_failure=failed, check=check, diff=diff
    )
