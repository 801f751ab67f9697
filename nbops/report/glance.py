"""A cluster at a glance, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nbops.base.clean import one_line
from nbops.nocobase.backups import bytes_of
from nbops.nocobase.glance import AppSeen, Glance, troubles


def lines(seen: Glance) -> list[str]:
    """All of it; what is not as it should be stands at the end."""
    found = troubles(seen)
    release = seen.release
    version = f"NocoBase {release['version']}" if release else "nothing deployed"
    bad = "a run is at work" if seen.lock.alive else "NOT AS IT SHOULD BE (see below)"
    verdict = bad if found else "as it should be"
    text = [f"{seen.cluster}: {version}, {verdict}", "", *_facts(seen)]
    if seen.apps:
        head = ("NODE", "RUNTIME", "VERSION", "HEALTH", "STARTED (UTC)", "RESTARTS", "REQUESTS")
        text += ["", *columns(head, [_app(one, bool(seen.balancers)) for one in seen.apps])]
    if seen.balancers:
        rows = [(one.host, one.kind, one.gives) for one in seen.balancers]
        text += ["", *columns(("BALANCER", "KIND", "VISITORS GET"), rows)]
    if found:
        text.append("")
    for trouble in found:
        text.append(f"! {one_line(trouble.what)}")
        text += [f"  {one_line(trouble.hint)}"] if trouble.hint else []
    return text


def _facts(seen: Glance) -> Iterator[str]:
    release, database, backup = seen.release, seen.database, seen.backup
    if release:
        who = f"{release['when']} by {release['who']}"
        yield f"release   {release['number']}, {release['version']}, {who}"
    if seen.pending:
        yield f"pending   {seen.pending['version']}, {_run(seen.pending)}"
    yield f"lock      {_lock(seen)}"
    if database:
        version = f"of version {database.version}" if database.version else "empty"
        yield (
            f"database  {database.name} on {database.host} ({database.kind} {database.server}),"
            f" {bytes_of(database.size)}, {version}"
        )
    for one in seen.redis:
        state = f"Redis {one.version}" if one.up else f"down: {one.said}"
        yield f"redis     {one.place}, {state} ({', '.join(one.functions)})"
    if backup:
        size = bytes_of(backup["size"])
        yield f"backup    {backup['name']}, of {backup['version'] or 'no version'}, {size}"
    elif release:
        yield "backup    none yet: `nbops backup` makes one"


def _run(facts: Mapping[str, Any]) -> str:
    return f"since {facts['when']} by {facts['who']}, run {facts['run']}"


def _lock(seen: Glance) -> str:
    lock = seen.lock
    if not lock.held:
        return "free"
    life = f"at work, last sign {lock.silent} s ago" if lock.alive else "INTERRUPTED"
    return f"{lock.command} of {lock.owner} since {lock.since}, run {lock.run}, {life}"


def _app(app: AppSeen, balanced: bool) -> tuple[str, ...]:
    health = app.health if app.running else "does not run"
    if not app.visited:
        requests = "background"
    elif app.refused_by:
        requests = "none"
    elif app.drained_by:
        requests = "drained"
    else:
        requests = "yes" if balanced else "-"
    return (
        app.name,
        app.runtime,
        app.version or "-",
        health,
        app.since or "-",
        str(app.restarts),
        requests,
    )


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows in columns under their names."""
    cells = [[one_line(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
