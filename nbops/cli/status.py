"""`nbops status`: the cluster at a glance."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nbops.base.errors import HostUnusable, NbopsError, UsageError, understood
from nbops.cli import show
from nbops.cli.faults import conceal
from nbops.cli.options import InventoryFile, Output, Target, expand

if TYPE_CHECKING:
    from nbops.cli.looker import HostLooker
    from nbops.cli.reach import Reach
    from nbops.engine.lockrecord import Record, Seen
    from nbops.nocobase.backups import Manifest
    from nbops.nocobase.cluster import Cluster
    from nbops.nocobase.glance import AppSeen, BalancerSeen, Glance, LockSeen, Trouble
    from nbops.nocobase.records import Records

_EVERY = 2.0


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(
        epilog="Examples: nbops status; nbops status --watch; nbops status --json | jq .troubles. "
        "Exit codes: 0 all serves, 1 something is not as it should be, 4 no host can be used."
    )(expand(status))


def status(
    target: Target,
    output: Output,
    inventory_file: InventoryFile = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every 2 seconds, until Ctrl-C.")
    ] = False,
) -> None:
    """Show nodes, balancers, database, Redis, lock, release and backup as they are now.

    Hosts that cannot be used are named, the others are shown all the same. What is not as it
    should be stands at the end, with what to do about it. Changes nothing.
    """
    from nbops.cli.looker import cluster_within
    from nbops.cli.reach import reach
    from nbops.nocobase.glance import troubles
    from nbops.report.choose import is_live
    from nbops.report.glance import lines

    if watch and (output.json or output.plain or not is_live()):
        raise UsageError(
            "--watch is for a terminal, without --json and --plain",
            hint="`watch -n 5 nbops status --plain`, or a loop over `nbops status --json`",
        )
    target = replace(target, inventory=target.inventory_path(inventory_file))
    with reach(target, output) as reached:
        cluster = cluster_within(reached)
        if watch:
            _watch(reached, cluster)
            return
        seen = glance_at(reached, cluster)
    if output.json:
        show.document(seen.document())
    else:
        show.text("\n".join(lines(seen)))
    if not seen.reached:
        if output.json:  # the document tells it
            raise typer.Exit(HostUnusable.exit_code)
        raise _unusable(seen)
    if troubles(seen):
        raise typer.Exit(1)


def _unusable(seen: Glance) -> HostUnusable:
    return HostUnusable(
        f"no host of {seen.cluster} can be used",
        hint="`nbops exec all -- true -v` tries each; is the way there open, and the key loaded?",
    )


def _watch(reached: Reach, cluster: Cluster) -> None:
    """Shows it anew until the user stops."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from nbops.base.errors import Interrupted
    from nbops.report.glance import lines

    with Live(console=Console(file=sys.stdout), auto_refresh=False, screen=True) as live:
        try:
            while True:
                live.update(Text("\n".join(lines(glance_at(reached, cluster)))), refresh=True)
                reached.stop.sleep(_EVERY)
        except Interrupted:
            return


@dataclass(frozen=True)
class _Noted:
    """What stands in the files of nbops on a host."""

    lock: Record
    records: Records
    backups: Sequence[Manifest]


def glance_at(reached: Reach, cluster: Cluster) -> Glance:
    """Look at every host, all of them side by side: first at what nbops noted there, then at
    what runs."""
    from nbops.cli.looker import side_by_side
    from nbops.engine.lockrecord import Seen
    from nbops.nocobase import records
    from nbops.nocobase.backups import together
    from nbops.nocobase.glance import Glance, Trouble
    from nbops.nocobase.looks import at_release

    hosts = list(reached.cluster.inventory.hosts)
    noted, faults = side_by_side(reached, hosts, lambda host: _noted(cluster, host))
    unread = dict(faults)
    found = [one.records for one in noted.values()]
    release = records.present(found)
    parts, more = _look_at_parts(reached, at_release(cluster, release), hosts, faults)
    faults |= more
    backups = together(one for each in noted.values() for one in each.backups)
    apps = [app for one in parts for app in one.apps]
    balancers = [one.balancer for one in parts if one.balancer]
    return Glance(
        cluster=cluster.name,
        hosts={host: _why_not(faults.get(host)) for host in hosts},
        apps=_balanced(cluster, apps, balancers),
        balancers=balancers,
        redis=next((one.redis for one in parts if one.redis), ()),
        database=next((one.database for one in parts if one.database), None),
        lock=_lock(Seen([one.lock for one in noted.values()], unread)),
        release=release,
        pending=records.on_its_way(found),
        backup=next((one.facts() for one in backups), None),
        records={host: one.records.last for host, one in noted.items()},
        faults=[
            *(trouble for one in parts for trouble in one.faults),
            *(
                Trouble(problem.message, problem.hint or "")
                for fault in faults.values()
                if not isinstance(fault, HostUnusable)
                for problem in fault.problems
            ),
        ],
    )


def _why_not(fault: NbopsError | None) -> str:
    if not isinstance(fault, HostUnusable):
        return ""
    return fault.problems[0].message


def _noted(cluster: Cluster, host: HostLooker) -> _Noted:
    from nbops.base.errors import ActionFailed
    from nbops.engine.lockrecord import look_script, parse_record
    from nbops.nocobase.records import records_on
    from nbops.nocobase.shelf import manifests_on, shelf_of

    outcome = host.probe(look_script(cluster.name))
    if not outcome.ok:
        raise ActionFailed(f"{host.host}: the lock cannot be read: {outcome.err.strip()}")
    lock = parse_record(host.host, outcome.out)
    backups = manifests_on(shelf_of(cluster), host)
    return _Noted(lock, records_on(cluster, host), backups)


@dataclass(frozen=True)
class _Parts:
    """What runs on a host, as far as it could be seen."""

    apps: Sequence[AppSeen] = ()
    balancer: BalancerSeen | None = None
    redis: Sequence[Any] = ()
    database: Any = None
    faults: Sequence[Trouble] = ()


def _look_at_parts(
    reached: Reach, cluster: Cluster, hosts: Sequence[str], lost: dict[str, NbopsError]
) -> tuple[list[_Parts], dict[str, NbopsError]]:
    from nbops.cli.looker import side_by_side
    from nbops.nocobase.databases.here import tools_host

    usable = [host for host in hosts if not isinstance(lost.get(host), HostUnusable)]
    asks_redis = next((one.host for one in cluster.nodes if one.host in usable), "")
    tools = tools_host(cluster).host

    def look(host: HostLooker) -> _Parts:
        return _parts_on(cluster, host, redis=host.host == asks_redis, tools=host.host == tools)

    found, faults = side_by_side(reached, usable, look)
    return list(found.values()), faults


def _parts_on(cluster: Cluster, host: HostLooker, *, redis: bool, tools: bool) -> _Parts:
    """Every look for itself: one that fails does not hide the others."""
    from nbops.nocobase import looks
    from nbops.nocobase.glance import Trouble

    faults: list[Trouble] = []

    def tried(look: Callable[[], Any], otherwise: Any) -> Any:
        try:
            with understood(host.host, "nbops"):
                return look()
        except HostUnusable:
            raise
        except NbopsError as error:
            host.reached.stop.check()
            conceal(error, host.reached.cluster.masker)
            faults.extend(Trouble(one.message, one.hint or "") for one in error.problems)
            return otherwise

    member = cluster.members[host.host]
    app = host.host in cluster.groups.get("app", ())
    balancer = host.host in cluster.groups.get("balancer", ())
    return _Parts(
        apps=tried(lambda: looks.look_at_apps(cluster, member, host), ()) if app else (),
        balancer=tried(lambda: looks.look_at_balancer(cluster, host), None) if balancer else None,
        redis=tried(lambda: looks.look_at_redis(cluster, host), ()) if redis else (),
        database=tried(lambda: looks.look_at_database(cluster, host), None) if tools else None,
        faults=faults,
    )


def _balanced(
    cluster: Cluster, apps: Iterable[AppSeen], balancers: Sequence[BalancerSeen]
) -> list[AppSeen]:
    from nbops.nocobase.glance import behind_balancers

    places = {end.name: end.place for end in cluster.apps}
    found = []
    for app in apps:
        refused, drained = behind_balancers(app, [places[app.name]], balancers)
        found.append(replace(app, refused_by=refused, drained_by=drained))
    return found


def _lock(seen: Seen) -> LockSeen:
    from nbops.nocobase.glance import LockSeen

    if not seen.held:
        return LockSeen()
    freshest = min(seen.held, key=lambda record: record.age)
    return LockSeen(
        held=True,
        alive=freshest.beats,
        run=freshest.to_break,
        owner=freshest.owner,
        command=freshest.command,
        since=freshest.since,
        silent=freshest.age,
    )
