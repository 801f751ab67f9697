"""`nbops lock`: who holds the cluster, and how to take it from a run that died."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from nbops.base.errors import UsageError
from nbops.cli import show
from nbops.cli.options import Output, Target, expand

if TYPE_CHECKING:
    from nbops.cli.reach import Reach
    from nbops.engine.lock import ClusterLock, Record


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    lock = typer.Typer(no_args_is_help=True, help="The cluster's lock.")
    lock.command("show")(expand(show_lock))
    lock.command("break", epilog="Example: nbops lock break 20261123T101500Z-1a2b3c")(
        expand(break_lock)
    )
    app.add_typer(lock, name="lock")


def show_lock(target: Target, output: Output) -> None:
    """Who holds the lock, as each host knows it."""
    from nbops.cli.reach import reach

    with reach(target, output) as reached:
        records = _lock(reached).look()
    if output.json:
        show.document([_data(record) for record in records])
        return
    show.text(summary(records))
    rows = [
        (
            record.host,
            str(record.number),
            str(record.state),
            record.run or "-",
            f"{record.age} s ago" if record.held else "-",
        )
        for record in records
    ]
    show.table(("HOST", "NUMBER", "STATE", "LAST RUN", "LAST SIGN"), rows)


def break_lock(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run that `lock show` names.")],
    target: Target,
    output: Output,
) -> None:
    """Take the lock from a run that died. Refused while its heart beats."""
    from nbops.cli.reach import reach
    from nbops.cli.wire import operator
    from nbops.engine.lock import Holder

    with reach(target, output) as reached:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(reached.run, operator(), "lock break", since)
        number = _lock(reached).break_lock(run, holder)
    if output.json:
        show.document({"broken": run, "number": number})
    else:
        show.text(f"the lock of run {run} is broken; the cluster is free")


def summary(records: Sequence[Record]) -> str:
    """The lock in one sentence."""
    held = [record for record in records if record.held]
    if not held:
        return "free"
    freshest = min(held, key=lambda record: record.age)
    life = "alive" if freshest.beats else f"interrupted, no sign for {freshest.age} s"
    ways = f"; `nbops resume`, `nbops abort` or `nbops lock break {freshest.run}`"
    advice = "" if freshest.beats else ways
    return (
        f"held by {freshest.owner} since {freshest.since}: "
        f"{freshest.command}, run {freshest.run}, {life}{advice}"
    )


def _lock(reached: Reach) -> ClusterLock:
    from nbops.engine.lock import ClusterLock

    settings = reached.cluster.settings
    if settings is None:
        raise UsageError(
            f"{reached.cluster.path}: no `nocobase:` settings, so there is no cluster to lock"
        )
    hosts = list(reached.cluster.inventory.hosts)
    reached.connect(hosts)
    return ClusterLock(
        settings.common.cluster,
        hosts,
        reached.connections,
        reached.cluster.root_identity,
        reached.bus,
        reached.workers,
    )


def _data(record: Record) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(record) | {"held": record.held, "beats": record.beats}
