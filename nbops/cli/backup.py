"""`nbops backup` and `nbops backups`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nbops.cli import runbooks, show
from nbops.cli.extra import extra_vars
from nbops.cli.options import Output, Target, expand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbops.base.command import Outcome
    from nbops.cli.reach import Reach
    from nbops.nocobase.backups import Manifest
    from nbops.nocobase.cluster import Cluster


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Example: nbops backup --check")(expand(backup))
    app.command(epilog="Example: nbops backups --json")(expand(backups))


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


def backups(target: Target, output: Output) -> None:
    """The backups that there are, the latest first, and the databases that restores kept."""
    from nbops.cli.reach import reach
    from nbops.nocobase.backups import bytes_of, together

    with reach(target, output) as reached:
        cluster = _cluster(reached)
        hosts = [*cluster.groups.get("app", ()), *cluster.groups.get("database", ())]
        hosts = list(dict.fromkeys(hosts))
        reached.connect(hosts)
        found = together(one for host in hosts for one in _manifests(reached, cluster, host))
        kept = _kept(reached, cluster)
    if output.json:
        show.document({"backups": [one.facts() for one in found], "kept": kept})
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
            ("KEPT DATABASE", "SIZE", "RUN"),
            [(str(one["name"]), bytes_of(one["size"]), str(one["run"])) for one in kept],
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


def _asked(reached: Reach, host: str, script: str) -> Outcome:
    from nbops.base.command import Command

    command = Command(script, identity=reached.identity(host))
    return reached.connections.session(host).run(command)


def _manifests(reached: Reach, cluster: Cluster, host: str) -> Sequence[Manifest]:
    from nbops.base.errors import ActionFailed
    from nbops.nocobase.shelf import listing_script, read_listing, shelf_of

    outcome = _asked(reached, host, listing_script(shelf_of(cluster)))
    if not outcome.ok:
        raise ActionFailed(f"cannot read the backups on {host}: {outcome.err.strip()}")
    return read_listing(outcome.out, f"on {host}")


def _kept(reached: Reach, cluster: Cluster) -> list[dict[str, Any]]:
    from nbops.base.errors import ActionFailed
    from nbops.nocobase.databases.here import database_here, kept_in, with_login

    here = database_here(cluster)
    host = here.host.host
    session, identity = reached.connections.session(host), reached.identity(host)
    here = with_login(here, lambda content: session.stage(content, identity))
    outcome = _asked(reached, host, here.copies.server_script(here.access))
    if not outcome.ok:
        raise ActionFailed(f"cannot ask the database from {host}: {outcome.err.strip()}")
    return kept_in(here, here.copies.read_server(outcome.out))
