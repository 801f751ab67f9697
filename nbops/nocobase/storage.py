"""Whether nodes share a folder: marks that each leaves there, looks for and takes away. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nbops.base.command import quote
from nbops.nocobase.cluster import Member

# A network folder may show another node's file a little later.
PATIENCE = 15
_MARK = ".nbops-mark-"
_OLD_MINUTES = 60


def storage_path(node: Member) -> str:
    """Where a host keeps the app's files."""
    folder = str(node.part("runtime").get("dir") or "/opt/nocobase")
    return str(node.part("storage").get("path") or f"{folder}/storage")


def mark_script(folder: str, run: str, host: str, litter: str = "/dev/null") -> str:
    """Leaves the host's mark, and removes marks that a lost run left long ago. The mark is named in
    the file `litter` first, for a run that does not come to clear it.

    Ends with 3 when the folder is not there.
    """
    path = f"{folder}/{_name(run, host)}"
    return f"""\
printf '%s\\n' {quote(path)} >>{quote(litter)} || exit 1
cd {quote(folder)} || exit 3
find . -maxdepth 1 -type f -name {quote(f"{_MARK}*")} -mmin +{_OLD_MINUTES} -exec rm -f {{}} +
umask 077
printf '%s\\n' {quote(host)} >{quote(_name(run, host))}
"""


def find_script(folder: str, run: str, hosts: Sequence[str]) -> str:
    """Prints those of `hosts` whose marks cannot be read here, one a line."""
    looks = "\n".join(
        f"look {quote(host)} {quote(_name(run, host))}" for host in dict.fromkeys(hosts)
    )
    return f"""\
cd {quote(folder)} || exit 3
until=$(($(date +%s) + {PATIENCE}))
look() {{
    until [ "$(cat "./$2" 2>/dev/null)" = "$1" ]; do
        [ "$(date +%s)" -lt "$until" ] || {{ printf '%s\\n' "$1"; return; }}
        sleep 0.3
    done
}}
{looks}
"""


def clear_script(folder: str, run: str, host: str) -> str:
    """Takes the host's mark away; nothing is done where there is none."""
    return f"rm -f {quote(f'{folder}/{_name(run, host)}')}\n"


def _name(run: str, host: str) -> str:
    return f"{_MARK}{run}-{host}"
