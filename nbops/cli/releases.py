"""`nbops releases`: what was deployed when, as the cluster itself has it on record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from nbops.cli import show
from nbops.cli.options import InventoryFile, Output, Target, expand

_HEAD = ("", "RELEASE", "VERSION", "WHEN", "BY", "RUN", "CAME FROM", "BACKUP OF WHAT WAS BEFORE")


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(
        epilog="Examples: nbops releases; nbops releases --json. `nbops rollback --to NUMBER` "
        "goes back to one that the present one came from."
    )(expand(releases))


def releases(
    target: Target,
    output: Output,
    inventory_file: InventoryFile = None,
) -> None:
    """The releases of the cluster, the latest first; `*` marks the present one.

    Every host holds all records; hosts that cannot be used are named, and the rest asked.
    """
    from dataclasses import replace

    from nbops.base.events import Note
    from nbops.cli.looker import cluster_within, side_by_side, unanswered
    from nbops.cli.reach import reach
    from nbops.nocobase.records import all_of, on_its_way, records_on

    target = replace(target, inventory=target.inventory_path(inventory_file))
    with reach(target, output) as reached:
        cluster = cluster_within(reached)
        hosts = list(reached.cluster.inventory.hosts)
        found, faults = side_by_side(reached, hosts, lambda host: records_on(cluster, host))
        if not found:
            raise unanswered(faults)
        for host, fault in faults.items() if not output.json else ():
            reached.bus(Note(level="warning", message=str(fault.problems[0]), host=host))
    known, pending = all_of(found.values()), on_its_way(found.values())
    if output.json:
        missing = {host: fault.problems[0].message for host, fault in faults.items()}
        rows = [one | {"present": number == 0} for number, one in enumerate(map(dict, known))]
        show.document({"releases": rows, "pending": pending, "not_asked": missing})
        return
    if not known:
        show.text("nothing is deployed yet: `nbops deploy` makes the first release")
    else:
        show.table(_HEAD, [_row(one, present=one is known[0]) for one in known])
    if pending:
        show.text("")
        show.text(
            f"on its way: {pending['version']}, by {pending['who']} (run {pending['run']}); "
            "`nbops status` says how to go on"
        )


def _row(one: Mapping[str, Any], *, present: bool) -> tuple[str, ...]:
    return (
        "*" if present else "",
        str(one["number"]),
        str(one["version"]),
        str(one["when"]),
        str(one["who"]),
        str(one["run"]),
        str(one["parent"] or "-"),
        str(one["backup"] or "-"),
    )
