"""`nbops backup` and `nbops backups`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from nbops.base.errors import understood
from nbops.cli import show
from nbops.cli.carry_out import carry_out
from nbops.cli.options import AcceptDataLoss, Check, Diff, InventoryFile, Output, Target, expand

if TYPE_CHECKING:
    from nbops.cli.reach import Reach
    from nbops.nocobase.cluster import Cluster
    from nbops.nocobase.databases.copies import Held


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Example: nbops backup --check")(expand(backup))
    app.command(epilog="Example: nbops backups --json")(expand(backups))
    app.command(epilog="Example: nbops restore 20261123T084733Z-1a2b3c-manual")(expand(restore))


def backup(
    target: Target,
    output: Output,
    inventory_file: InventoryFile = None,
    check: Check = False,
    diff: Diff = False,
) -> None:
    """Back up the database, and what else the settings say, while the cluster serves."""
    carry_out("backup", target, output, inventory_file, check=check, diff=diff)


def restore(  # noqa: PLR0917  typer's options
    target: Target,
    output: Output,
    name: Annotated[
        str, typer.Argument(metavar="BACKUP", help="Its name, as `nbops backups` lists it.")
    ],
    accept_data_loss: AcceptDataLoss = False,
    check: Check = False,
    diff: Diff = False,
) -> None:
    """Bring the database of a backup back, under the version that runs.

    Says what will be lost and asks. The database that is replaced is kept, and backed up.
    """
    from nbops.engine.run import OnFailure

    carry_out(
        "restore",
        target,
        output,
        given={"nbops_backup": name},
        accept_data_loss=accept_data_loss and target.yes,
        on_failure=OnFailure.ROLLBACK,
        check=check,
        diff=diff,
    )


def backups(target: Target, output: Output, inventory_file: InventoryFile = None) -> None:
    """The backups that there are, the latest first, and the databases that restores kept."""
    from nbops.cli.looker import cluster_within, side_by_side, unanswered
    from nbops.cli.reach import reach
    from nbops.nocobase.backups import bytes_of, together
    from nbops.nocobase.looks import at_release
    from nbops.nocobase.records import present, records_on
    from nbops.nocobase.shelf import manifests_on, shelf_of

    target = replace(target, inventory=target.inventory_path(inventory_file))
    with reach(target, output) as reached:
        cluster = cluster_within(reached)
        hosts = [*cluster.groups.get("app", ()), *cluster.groups.get("database", ())]
        hosts = list(dict.fromkeys(hosts))
        reached.connect(hosts)
        shelf = shelf_of(cluster)
        noted, faults = side_by_side(
            reached, hosts, lambda one: (manifests_on(shelf, one), records_on(cluster, one))
        )
        if faults:
            raise unanswered(faults)
        found = together(one for manifests, _ in noted.values() for one in manifests)
        release = present(records for _, records in noted.values())
        kept = _kept(reached, at_release(cluster, release))
    if output.json:
        databases = [{"name": one.name, "size": one.size, **one.mark} for one in kept]
        show.document({"backups": [one.facts() for one in found], "kept": databases})
        return
    rows = [
        (
            one["name"],
            one["when"],
            one["version"] or "-",
            bytes_of(one["size"]),
            "+".join(one["holds"]),
            "restored" if one["verified"] == "restore" else "read",
            ", ".join(one["hosts"]),
        )
        for one in (backup.facts() for backup in found)
    ]
    if rows:
        show.table(("BACKUP", "WHEN", "VERSION", "SIZE", "HOLDS", "VERIFIED", "ON"), rows)
    else:
        show.text("no backup yet: `nbops backup` makes one")
    if kept:
        show.text("")
        show.table(
            ("KEPT DATABASE", "SIZE", "BY RUN"),
            [(one.name, bytes_of(one.size), str(one.mark.get("run", "-"))) for one in kept],
        )


def _kept(reached: Reach, cluster: Cluster) -> list[Held]:
    from nbops.cli.looker import HostLooker
    from nbops.nocobase.databases.here import database_here, kept_in, look, with_login

    here = database_here(cluster)
    host = HostLooker(reached, here.host.host)
    with understood(host.host, "nbops"):
        return kept_in(look(with_login(here, host.stage), host))
