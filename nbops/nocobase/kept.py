"""What stands on a host before a deploy writes there for the first time: kept aside, put back,
forgotten. Pure: scripts.

    /var/lib/nbops/CLUSTER/before-RUN/MARK          a file as it was; MARK is made of its path
    /var/lib/nbops/CLUSTER/before-RUN/MARK.absent   it was not there
    /var/lib/nbops/CLUSTER/before-RUN/UNIT.active   the unit ran
    /var/lib/nbops/CLUSTER/before-RUN/UNIT.enabled  … and was to run after a reboot
    /var/lib/nbops/CLUSTER/before-RUN/UNIT.reload   while it is put back: what the unit needs;
                                     UNIT.restart   a script that is killed then is said again

For root only: settings hold passwords. The folder is there whole or not at all, so that each
script can be said again; what has neither a copy nor a mark there is left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from nbops.base.command import quote
from nbops.nocobase.cluster import STATE_FOLDER


@dataclass(frozen=True)
class Service:
    """A server on a host: its systemd unit, the unit that lets it come back after a reboot, and
    its files that nbops writes, by what it takes for them to be in effect."""

    unit: str
    boot: str
    restart: Sequence[str]
    reload: Sequence[str] = ()


@dataclass(frozen=True)
class Before:
    """What a deploy may write on a host: files, folders that it makes for them, and services
    with their own files."""

    files: Sequence[str] = ()
    folders: Sequence[str] = ()
    services: Sequence[Service] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All files."""
        own = (path for one in self.services for path in (*one.restart, *one.reload))
        return (*self.files, *own)


def keep_script(cluster: str, run: str, before: Before) -> str:
    """Keeps all of it, once for a run; what an earlier run kept is of no use any more."""
    at = _folder(cluster, run)
    paths = [f"keep {_mark(path)} {quote(path)}" for path in (*before.paths, *before.folders)]
    services = [
        f'! systemctl is-active --quiet {quote(one.unit)} || : >"$new"/{_sign(one, "active")}\n'
        f"! systemctl is-enabled --quiet {quote(one.boot)} 2>/dev/null"
        f' || : >"$new"/{_sign(one, "enabled")}'
        for one in before.services
    ]
    lines = "\n".join((*paths, *services))
    return f"""\
set -e
[ ! -d {at} ] || exit 0
{forget_script(cluster)}\
umask 077
new={at}.new
mkdir -p "$new"
keep() {{
    if [ -f "$2" ]; then cp -p "$2" "$new/$1"; elif [ ! -e "$2" ]; then : >"$new/$1.absent"; fi
}}
{lines}
find "$new" -exec sync {{}} +
mv -T "$new" {at}
"""


def back_script(cluster: str, run: str, before: Before, *, files: bool = True) -> str:
    """Puts all of it back; without `files` those that belong to no service stay as they are.
    Nothing is done where nothing was kept."""
    at = _folder(cluster, run)
    lines = [_back(path, "moved") for path in before.files if files]
    lines += [
        f'[ ! -e "$at/{_mark(path)}.absent" ] || [ ! -d {quote(path)} ]'
        f" || rmdir --ignore-fail-on-non-empty {quote(path)}"
        for path in before.folders
        if files
    ]
    for one in before.services:
        lines += [_back(path, f"{one.unit}.reload") for path in one.reload]
        lines += [_back(path, f"{one.unit}.restart") for path in one.restart]
        lines.append(_service_back(one))
    body = "\n".join(lines)
    return f"""\
set -e
at={at}
[ -d "$at" ] || exit 0
back() {{
    if [ -e "$at/$1.absent" ]; then
        [ ! -e "$2" ] || : >"$at/$3"
        rm -f "$2"
    elif [ -f "$at/$1" ] && ! cmp -s "$at/$1" "$2"; then
        : >"$at/$3"
        cp -p "$at/$1" "$2.nbops-new"
        sync "$2.nbops-new"
        mv -f "$2.nbops-new" "$2"
    fi
}}
{body}
{forget_script(cluster)}"""


def forget_script(cluster: str) -> str:
    """Removes what was kept, whichever run did; out of sight first, for a part of it would be
    taken for the whole."""
    folder = quote(f"{STATE_FOLDER}/{cluster}")
    return f"""\
for one in {folder}/before-*; do
    case "$one" in *.gone | *.new) continue ;; esac
    [ ! -d "$one" ] || {{ rm -rf "$one.gone" && mv -T "$one" "$one.gone"; }}
done
rm -rf {folder}/before-*
"""


def _back(path: str, mark: str) -> str:
    return f"back {_mark(path)} {quote(path)} {quote(mark)}"


def _mark(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:16]


def _sign(one: Service, name: str) -> str:
    return quote(f"{one.unit}.{name}")


def _service_back(one: Service) -> str:
    return f"""\
if [ -e "$at"/{_sign(one, "active")} ]; then
    verb=start
    [ ! -e "$at"/{_sign(one, "reload")} ] || verb=reload
    [ ! -e "$at"/{_sign(one, "restart")} ] || verb=restart
    systemctl "$verb" {quote(one.unit)}
elif systemctl cat {quote(one.unit)} >/dev/null 2>&1; then
    systemctl stop {quote(one.unit)}
fi
if [ ! -e "$at"/{_sign(one, "enabled")} ] &&
    systemctl is-enabled --quiet {quote(one.boot)} 2>/dev/null
then
    systemctl disable --quiet {quote(one.boot)}
fi"""


def _folder(cluster: str, run: str) -> str:
    return quote(f"{STATE_FOLDER}/{cluster}/before-{run}")
