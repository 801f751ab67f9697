"""`nbops lock`: who holds the cluster, and how to take it from a run that died."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from nbops.base.errors import UsageError
from nbops.cli import show
from nbops.cli.options import Output, Target, expand

if TYPE_CHECKING:
    from nbops.base.errors import NbopsError
    from nbops.cli.reach import Reach
    from nbops.engine.lockbreak import Broken
    from nbops.engine.lockhosts import LockHosts
    from nbops.engine.lockrecord import Record


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    lock = typer.Typer(no_args_is_help=True, help="The cluster's lock.")
    lock.command("show", epilog="Examples: nbops lock show; nbops lock show --json")(
        expand(show_lock)
    )
    lock.command("break", epilog="Example: nbops lock break 20261123T101500Z-1a2b3c")(
        expand(break_lock)
    )
    app.add_typer(lock, name="lock")


def show_lock(target: Target, output: Output) -> None:
    """Who holds the lock, as each host knows it."""
    from nbops.cli.reach import reach

    with reach(target, output) as reached:
        seen = _keepers(reached).look()
    if output.json:
        missing = [_missing(host, error) for host, error in seen.missing.items()]
        show.document([*(_data(record) for record in seen.records), *missing])
        return
    show.text(summary(seen.held))
    rows = [
        (
            record.host,
            str(record.number),
            str(record.state),
            record.run or "-",
            f"{record.age} s ago" if record.held else "-",
        )
        for record in seen.records
    ]
    rows += [(host, "-", "unreachable", "-", "-") for host in seen.missing]
    show.table(("HOST", "NUMBER", "STATE", "LAST RUN", "LAST SIGN"), rows)


def break_lock(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run that `lock show` names.")],
    target: Target,
    output: Output,
) -> None:
    """Take the lock from a run that died. Refused while its heart beats."""
    from nbops.cli.reach import reach
    from nbops.cli.wire import operator
    from nbops.engine import lockbreak
    from nbops.engine.lockrecord import BREAK, Holder

    with reach(target, output) as reached:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(reached.run, operator(), BREAK, since)
        broken = lockbreak.break_lock(_keepers(reached), run, holder)
    if output.json:
        show.document(
            {
                "broken": run,
                "number": broken.number,
                "free": broken.free,
                "unreachable": list(broken.missing),
            }
        )
    else:
        show.text("\n".join(outcome(run, broken)))


def summary(records: Sequence[Record]) -> str:
    """The lock in one sentence."""
    held = [record for record in records if record.held]
    if not held:
        return "free"
    freshest = min(held, key=lambda record: record.age)
    life = "alive" if freshest.beats else f"interrupted, no sign for {freshest.age} s"
    breaking = f"`nbops lock break {freshest.to_break}`"
    ways = (
        f"; {breaking} goes on with it"
        if freshest.breaks
        else (f"; `nbops resume`, `nbops abort` or {breaking}")
    )
    advice = "" if freshest.beats else ways
    return (
        f"held by {freshest.owner} since {freshest.since}: "
        f"{freshest.command}, run {freshest.run}, {life}{advice}"
    )


def outcome(run: str, broken: Broken) -> Iterator[str]:
    """What came of breaking the lock of a run, and what is left to be done."""
    free = "; the cluster is free" if broken.free else ""
    yield f"the lock of run {run} is broken{free}"
    if broken.free:
        yield "`nbops status` tells what is left to be done"
    for other in broken.others:
        yield f"run {other} holds hosts too: `nbops lock break {other}`"
    if broken.missing:
        away = ", ".join(broken.missing)
        yield (
            f"not reached: {away}. What the run began there may go on; the next run that reaches"
            " it ends that first. If it is gone for good, take it out of the inventory"
        )


def _keepers(reached: Reach) -> LockHosts:
    from nbops.base.errors import HostFault, HostUnusable
    from nbops.engine.lockhosts import LockHosts

    settings = reached.cluster.settings
    if settings is None:
        raise UsageError(
            f"{reached.cluster.path}: no `nocobase:` settings, so there is no cluster to lock"
        )
    hosts = list(reached.cluster.inventory.hosts)
    faults = reached.connections.connect_all(hosts, reached.forks, reached.identity)
    refused = [one for one in faults if one.fault is not HostFault.UNREACHABLE]
    if refused:
        raise HostUnusable.of([problem for one in refused for problem in one.problems])
    return LockHosts(
        settings.common.cluster,
        hosts,
        reached.connections,
        reached.cluster.root_identity,
        reached.bus,
        reached.workers,
    )


def _data(record: Record) -> dict[str, object]:
    from dataclasses import asdict

    told = asdict(record) | {"held": record.held, "beats": record.beats}
    del told["line"]
    return told


def _missing(host: str, error: NbopsError) -> dict[str, object]:
    return {"host": host, "state": "unreachable", "why": str(error)}
