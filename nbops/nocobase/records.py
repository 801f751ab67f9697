"""The records of releases on a host, for commands that only read: without their secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.nocobase import releases
from nbops.nocobase.cluster import Cluster
from nbops.nocobase.releases import PENDING, Release, newest, read_release
from nbops.nocobase.shelf import Asks


@dataclass(frozen=True)
class Records:
    """What one host holds: facts of its releases by their numbers, and of the one on its way."""

    host: str
    known: Mapping[int, Mapping[str, Any]]
    pending: Mapping[str, Any] | None = None

    @property
    def last(self) -> int:
        """The number of the latest; 0 when there is none."""
        return max(self.known, default=0)


def records_on(cluster: Cluster, ctx: Asks) -> Records:
    """The records on a host. Raises ActionFailed when they cannot be read."""
    outcome = ctx.probe(look_script(cluster.name))
    if not outcome.ok:
        raise ActionFailed(f"cannot read the releases on {ctx.host}: {outcome.err.strip()}")
    found: dict[str, Release] = {}
    for line in outcome.out.splitlines():
        name, _, text = line.partition("\t")
        try:
            found[name.removesuffix(".json")] = read_release(text)
        except ValueError as error:
            raise ActionFailed(
                f"{releases.folder(cluster.name)}/{name} on {ctx.host} is no release: {error}",
                hint="when another host has a good copy, move this file away",
            ) from error
    pending = found.pop(PENDING, None)
    known = {one.number: one.facts() for one in found.values()}
    return Records(ctx.host, known, pending.facts() if pending else None)


def look_script(cluster: str) -> str:
    """Prints a line for each record: the file's name, and its content."""
    return f"""\
cd {quote(releases.folder(cluster))} 2>/dev/null || exit 0
for one in [0-9][0-9][0-9][0-9][0-9][0-9].json {PENDING}.json; do
    [ -f "$one" ] || continue
    printf '%s\\t' "$one" && tr -d '\\n' <"$one" && echo || exit
done
"""


def present(found: Iterable[Records]) -> Mapping[str, Any] | None:
    """The present release, as far as any host tells."""
    return newest(one.known.get(one.last) for one in found)


def on_its_way(found: Iterable[Records]) -> Mapping[str, Any] | None:
    """The release that is on its way, as far as any host tells."""
    every = list(found)
    return releases.on_its_way((one.pending for one in every), present(every))


def all_of(found: Iterable[Records]) -> list[Mapping[str, Any]]:
    """Every release that any host has, the latest first."""
    known: dict[int, Mapping[str, Any]] = {}
    for one in found:
        known |= one.known
    return [known[number] for number in sorted(known, reverse=True)]
