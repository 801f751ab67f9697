"""`nbops lab`: a rehearsal cluster of real machines on this box."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nbops.cli import show
from nbops.cli.options import Output, expand

if TYPE_CHECKING:
    from nbops.lab.lab import Lab, LabStatus

Name = Annotated[str, typer.Option("--name", help="Which lab; several can stand side by side.")]


def _option(flag: str, what: str) -> Any:
    return typer.Option(flag, help=what, show_default=False)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    lab = typer.Typer(
        no_args_is_help=True,
        help="A rehearsal cluster of real machines on this box (root, systemd-nspawn).",
    )
    lab.command(epilog="Example: nbops lab up --nodes 3, then nbops deploy with its last line.")(
        expand(up)
    )
    lab.command(epilog="Examples: nbops lab down --name demo; nbops lab down --all")(expand(down))
    lab.command(epilog="Examples: nbops lab status; nbops lab status --name demo --json")(
        expand(status)
    )
    lab.command(epilog="Example: nbops lab ssh node1 -- docker ps")(ssh)
    app.add_typer(lab, name="lab")


def up(
    output: Output,
    *,
    name: Name = "lab",
    nodes: Annotated[
        int | None,
        typer.Option("--nodes", min=1, help="How many app nodes (3); more are added to a lab."),
    ] = None,
    app: Annotated[
        str | None, _option("--app", "The real `nocobase`, or the small `sample` in its place.")
    ] = None,
    runtime: Annotated[
        str | None, _option("--runtime", "How nodes run it: `compose`, `pm2` or `mixed`.")
    ] = None,
    database: Annotated[str | None, _option("--database", "`postgres` or `mariadb`.")] = None,
    balancer: Annotated[str | None, _option("--balancer", "`nginx` or `haproxy`.")] = None,
    balancers: Annotated[
        int | None, typer.Option("--balancers", min=1, help="How many balancers (1).")
    ] = None,
    redis: Annotated[
        str | None, _option("--redis", "`one`, or `separate`: a machine for each function.")
    ] = None,
) -> None:
    """Make the machines, or add nodes to them; the last line is the path of their inventory."""
    from nbops.lab.layout import Wish

    wish = Wish(
        nodes=nodes,
        app=app,
        runtime=runtime,
        database=database,
        balancer=balancer,
        balancers=balancers,
        redis=redis,
    )
    with _lab(name, output) as lab:
        inventory = lab.up(wish)
    if output.json:
        show.line({"kind": "lab_ready", "name": name, "inventory": inventory})
    else:
        show.text(str(inventory))


def down(
    output: Output,
    name: Name = "lab",
    every: Annotated[bool, typer.Option("--all", help="Every lab on this box.")] = False,
) -> None:
    """Remove the machines and all that belongs to them."""
    from nbops.lab.lab import list_labs

    for one in list_labs() if every else (name,):
        with _lab(one, output) as lab:
            lab.down()


def status(
    output: Output,
    name: Annotated[
        str | None, typer.Option("--name", help="Only this lab.", show_default=False)
    ] = None,
) -> None:
    """The labs on this box and their machines."""
    from nbops.lab.lab import list_labs

    found = []
    for one in (name,) if name else list_labs():
        with _lab(one, output) as lab:
            found.append(lab.status())
    if output.json:
        show.document(found)
    elif not found:
        show.text("no lab stands here")
    for lab_status in () if output.json else found:
        _show_status(lab_status)


def ssh(
    host: Annotated[str, typer.Argument(metavar="HOST", help="`node1`, `lb`, `db`, `cache`…")],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND…]", show_default=False)
    ] = None,
    name: Name = "lab",
) -> None:
    """A shell on a machine, or one command there; its exit status is ours."""
    with _lab(name, Output()) as lab:
        raise typer.Exit(lab.ssh(host, command or ()))


def _show_status(status: LabStatus) -> None:
    state = "" if status.complete else ", not complete: `nbops lab up` goes on"
    show.text(f"{status.name}: {status.nodes} nodes, {status.app} {status.version}{state}")
    show.text(f"inventory: {status.inventory}")
    rows = [
        (machine.host, machine.role, machine.address, "running" if machine.running else "down")
        for machine in status.machines
    ]
    show.table(("HOST", "ROLE", "ADDRESS", "STATE"), rows)


@contextmanager
def _lab(name: str, output: Output) -> Iterator[Lab]:
    from nbops.base.events import Bus
    from nbops.base.secret import Masker
    from nbops.lab.lab import Lab
    from nbops.report.choose import observer

    bus = Bus(
        [observer(json=output.json, plain=output.plain, verbosity=output.verbosity)], Masker()
    )
    try:
        yield Lab(name, bus)
    finally:
        bus.close()
