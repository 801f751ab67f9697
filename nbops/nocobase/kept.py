"""What stands on a host before a deploy writes there for the first time: kept aside, put back,
forgotten. Pure: scripts.

    /var/lib/nbops/CLUSTER/before-RUN/N            a file as it was, by its place in the list
    /var/lib/nbops/CLUSTER/before-RUN/active.N     the unit of the Nth service ran
    /var/lib/nbops/CLUSTER/before-RUN/enabled.N    … and was to run after a reboot
    /var/lib/nbops/CLUSTER/before-RUN/folder.N     the folder was there
    /var/lib/nbops/CLUSTER/before-RUN/reload.N     while it is put back: what its service needs;
                                     restart.N     a script that is killed then is said again

For root only: settings hold passwords. The folder is there whole or not at all, and goes when
all is back, so that each script can be said again.
"""

from __future__ import annotations

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
        """All files, in the order of their numbers."""
        own = (path for one in self.services for path in (*one.restart, *one.reload))
        return (*self.files, *own)


def keep_script(cluster: str, run: str, before: Before) -> str:
    """Keeps all of it, once for a run; what an earlier run kept is of no use any more."""
    at = _folder(cluster, run)
    files = [
        f'[ ! -f {quote(path)} ] || cp -p {quote(path)} "$new/{number}"'
        for number, path in enumerate(before.paths)
    ]
    folders = [
        f'[ ! -d {quote(path)} ] || : >"$new/folder.{number}"'
        for number, path in enumerate(before.folders)
    ]
    services = [
        f'! systemctl is-active --quiet {quote(one.unit)} || : >"$new/active.{number}"\n'
        f"! systemctl is-enabled --quiet {quote(one.boot)} 2>/dev/null"
        f' || : >"$new/enabled.{number}"'
        for number, one in enumerate(before.services)
    ]
    lines = "\n".join((*files, *folders, *services))
    return f"""\
set -e
[ ! -d {at} ] || exit 0
{forget_script(cluster)}\
umask 077
new={at}.new
mkdir -p "$new"
{lines}
sync "$new"
mv -T "$new" {at}
"""


def back_script(cluster: str, run: str, before: Before, *, files: bool = True) -> str:
    """Puts all of it back; without `files` those that belong to no service stay as they are.
    Nothing is done where nothing was kept."""
    at = _folder(cluster, run)
    number = {path: str(at) for at, path in enumerate(before.paths)}

    def back(path: str, mark: str) -> str:
        return f"back {number[path]} {quote(path)} {mark}"

    lines = [back(path, "moved") for path in before.files if files]
    for at_folder, path in enumerate(before.folders if files else ()):
        lines.append(
            f'[ -e "$at/folder.{at_folder}" ] || [ ! -d {quote(path)} ]'
            f" || rmdir --ignore-fail-on-non-empty {quote(path)}"
        )
    for at_service, one in enumerate(before.services):
        lines += [back(path, f"reload.{at_service}") for path in one.reload]
        lines += [back(path, f"restart.{at_service}") for path in one.restart]
        lines.append(_service_back(at_service, one))
    body = "\n".join(lines)
    return f"""\
set -e
at={at}
[ -d "$at" ] || exit 0
back() {{
    if [ ! -f "$at/$1" ]; then
        [ ! -e "$2" ] || : >"$at/$3"
        rm -f "$2"
    elif ! cmp -s "$at/$1" "$2"; then
        : >"$at/$3"
        cp -p "$at/$1" "$2.nbops-new"
        sync "$2.nbops-new"
        mv -f "$2.nbops-new" "$2"
    fi
}}
{body}
{forget_script(cluster)}"""


def forget_script(cluster: str) -> str:
    """Removes what was kept, whichever run did."""
    return f"rm -rf {quote(f'{STATE_FOLDER}/{cluster}')}/before-*\n"


def _service_back(number: int, one: Service) -> str:
    return f"""\
if [ -e "$at/active.{number}" ]; then
    verb=start
    [ ! -e "$at/reload.{number}" ] || verb=reload
    [ ! -e "$at/restart.{number}" ] || verb=restart
    systemctl "$verb" {quote(one.unit)}
elif systemctl cat {quote(one.unit)} >/dev/null 2>&1; then
    systemctl stop {quote(one.unit)}
fi
if [ ! -e "$at/enabled.{number}" ] && systemctl is-enabled --quiet {quote(one.boot)} 2>/dev/null
then
    systemctl disable --quiet {quote(one.boot)}
fi"""


def _folder(cluster: str, run: str) -> str:
    return quote(f"{STATE_FOLDER}/{cluster}/before-{run}")
