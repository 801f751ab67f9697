"""`nbops backup` and `nbops backups`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from nbops.cli import runbooks, show
from nbops.cli.extra import extra_vars
from nbops.cli.options import Output, Target, expand

if TYPE_CHECKING:
    from nbops.base.command import Outcome, Text
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
    check: Annotated[
        bool, typer.Option("--check", help="Say what would be done; change nothing.")
    ] = False,
) -> None:
    """Back up the database, and what else the settings say, while the cluster serves."""
    from nbops.cli import wire

    inventory = target.inventory_path()
    options = wire.RunOptions(
        command="backup",
        runbook=runbooks.find("backup", inventory),
        inventory=inventory,
        strict=True,
        extra_vars=extra_vars(target.extra_vars or ()),
        check=check,
        forks=target.forks,
        json=output.json,
        plain=output.plain,
        verbosity=output.verbosity,
        yes=target.yes,
    )
    raise typer.Exit(wire.run(options))


def restore(
    target: Target,
    output: Output,
    name: Annotated[
        str, typer.Argument(metavar="BACKUP", help="Its name, as `nbops backups` lists it.")
    ],
    accept_data_loss: Annotated[
        bool,
        typer.Option("--accept-data-loss", help="What was written since may be lost to the users."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Say what would be done; change nothing.")
    ] = False,
) -> None:
    """Bring the database of a backup back, under the version that runs.

    Says what will be lost and asks. The database that is replaced is kept, and backed up.
    """
    from nbops.cli import wire
    from nbops.engine.run import OnFailure

    inventory = target.inventory_path()
    options = wire.RunOptions(
        command="restore",
        runbook=runbooks.find("restore", inventory),
        inventory=inventory,
        strict=True,
        extra_vars={**extra_vars(target.extra_vars or ()), "nbops_backup": name},
        accept_data_loss=accept_data_loss and target.yes,
        on_failure=OnFailure.ROLLBACK,
        check=check,
        forks=target.forks,
        json=output.json,
        plain=output.plain,
        verbosity=output.verbosity,
        yes=target.yes,
    )
    raise typer.Exit(wire.run(options))


def backups(target: Target, output: Output) -> None:
    """The backups that there are, the latest first, and the databases that restores kept."""
    from nbops.cli.reach import reach
    from nbops.nocobase.backups import bytes_of, together
    from nbops.nocobase.shelf import manifests_on, shelf_of

    with reach(target, output) as reached:
        cluster = _cluster(reached)
        hosts = [*cluster.groups.get("app", ()), *cluster.groups.get("database", ())]
        hosts = list(dict.fromkeys(hosts))
        reached.connect(hosts)
        shelf = shelf_of(cluster)
        found = together(one for host in hosts for one in manifests_on(shelf, Asker(reached, host)))
        kept = _kept(reached, cluster)
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


def _cluster(reached: Reach) -> Cluster:
    """What the inventory says, from the point of view of the first node."""
    from nbops.engine.hosts import Hosts
    from nbops.engine.variables import VariableStore
    from nbops.nocobase.cluster import cluster_of
    from nbops.runbook.expr import Templar

    world = reached.cluster.world({})
    store = VariableStore(world, Hosts(list(world.inventory)), Templar())
    return cluster_of(store.of_host(reached.hosts("app")[0]))


@dataclass(frozen=True)
class Asker:
    """Looks at one host; changes nothing there."""

    reached: Reach
    host: str

    def probe(self, script: Text) -> Outcome:
        """Run a script that changes nothing."""
        from nbops.base.command import Command

        command = Command(script, identity=self.reached.identity(self.host))
        return self.reached.connections.session(self.host).run(command)


def _kept(reached: Reach, cluster: Cluster) -> list[Held]:
    from nbops.nocobase.databases.here import database_here, kept_in, look, with_login

    here = database_here(cluster)
    host = here.host.host
    session, identity = reached.connections.session(host), reached.identity(host)
    here = with_login(here, lambda content: session.stage(content, identity))
    return kept_in(look(here, Asker(reached, host)))
