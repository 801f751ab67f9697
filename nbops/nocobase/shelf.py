"""The folder of backups on a host: read, and given one more that is whole."""

from __future__ import annotations

import json
from typing import Protocol

from nbops.actions.api import ActionContext
from nbops.base.command import Outcome, Text, quote
from nbops.base.errors import ActionFailed
from nbops.nocobase.backups import MANIFEST, Manifest, Shelf, read_manifest
from nbops.nocobase.cluster import Cluster
from nbops.nocobase.files import Wanted, put_script, stage


class Asks(Protocol):
    """What looks at a host: an action's context, or a command that only reads."""

    @property
    def host(self) -> str:
        """The inventory's name of the host."""

    def probe(self, script: Text) -> Outcome:
        """Run a script that changes nothing."""


def shelf_of(cluster: Cluster) -> Shelf:
    """Where a cluster's backups are, on each of its hosts."""
    return Shelf(str(cluster.part("backup").get("dir") or "/var/backups/nocobase"), cluster.name)


def manifests_on(shelf: Shelf, ctx: Asks) -> list[Manifest]:
    """The manifests of the backups on this host.

    Raises ActionFailed when one cannot be read or is none.
    """
    outcome = ctx.probe(listing_script(shelf))
    if not outcome.ok:
        raise ActionFailed(f"cannot read {shelf.folder} on {ctx.host}: {outcome.err.strip()}")
    return read_listing(outcome.out, f"on {ctx.host}")


def listing_script(shelf: Shelf) -> str:
    """Prints every manifest, each after a line with its path."""
    return f"""\
cd {quote(shelf.folder)} 2>/dev/null || exit 0
for one in */*/{MANIFEST}; do
    [ ! -f "$one" ] || {{ printf '\\n# %s\\n' "$one" && cat "$one"; }} || exit
done
"""


def read_listing(output: str, where: str) -> list[Manifest]:
    """The answer of `listing_script`. Raises ActionFailed for a manifest that is none."""
    found = []
    for piece in output.split("\n# ")[1:]:
        path, _, text = piece.partition("\n")
        try:
            found.append(read_manifest(text))
        except (ValueError, json.JSONDecodeError) as error:
            raise ActionFailed(
                f"{path} {where} is no manifest of a backup: {error}",
                hint="move its folder away, and run again",
            ) from error
    return found


def manifest_of(shelf: Shelf, name: str, what: str, ctx: Asks) -> Manifest | None:
    """The manifest of one part of one backup; None when it is not on this host. Those of other
    backups are not read: a damaged one must not block the way back to this one.

    Raises ActionFailed when it cannot be read or is none.
    """
    path = f"{shelf.of(name, what)}/{MANIFEST}"
    outcome = ctx.probe(f"[ ! -e {quote(path)} ] || cat {quote(path)}")
    if not outcome.ok:
        raise ActionFailed(f"cannot read {path} on {ctx.host}: {outcome.err.strip()}")
    if not outcome.out:
        return None
    try:
        return read_manifest(outcome.out)
    except ValueError as error:
        raise ActionFailed(
            f"{path} on {ctx.host} is no manifest of a backup: {error}",
            hint="take another backup (`nbops backups`)",
        ) from error


def sealed(shelf: Shelf, manifest: Manifest, ctx: ActionContext) -> None:
    """Write the manifest beside the files, and give the whole its name by one rename.

    Raises ActionFailed when that fails.
    """
    partial = shelf.partial(manifest.name, manifest.what)
    final = shelf.of(manifest.name, manifest.what)
    file = Wanted(f"{partial}/{MANIFEST}", manifest.text(), 0o600)
    script = f"""\
{put_script(stage(ctx, [file]))}
umask 077
mkdir -p {quote(final.rpartition("/")[0])}
[ -e {quote(final)} ] || mv -T {quote(partial)} {quote(final)}
sync {quote(final)} {quote(shelf.folder)}
"""
    outcome = ctx.act(script)
    if not outcome.ok:
        raise ActionFailed(
            f"cannot finish the backup {manifest.name} on {ctx.host}: {outcome.err.strip()}"
        )
