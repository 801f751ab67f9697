"""The proof that nodes are a cluster: what is asked, and what the answers mean. Pure.

An app without its adapters says that it is healthy, works, and does not synchronise. What
cannot lie is a change made through one node that another can know of by a message alone:
the file manager of every node keeps the file storages in memory, answers
`storages:getBasicInfo` from there, and reads them anew only when a message says so (source:
plugin-file-manager of 2.2.15). The change is a storage that nothing uses, made through the
first node and removed through the last, so that every node must have listened and both
must have spoken.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote as percent

from nbops.base.command import quote
from nbops.nocobase.cluster import Endpoint
from nbops.nocobase.http import Answer, call_config

VERSION_PATH = "/api/applicationVersion:list"
RECORDED_PLUGINS_PATH = "/api/applicationPlugins:list?paginate=false"
PLUGINS_PATH = "/api/pm:list"
STORAGES_PATH = "/api/storages:list?paginate=false"
PATIENCE = 20
_ASK = 10
# The app's processes on one port answer in turn: so many answers in a row come from all.
_IN_A_ROW = 8
_MARK = "nbops-probe-"
_CLEAR_PATH = "/api/storages:destroy?filter=" + percent(
    json.dumps({"name": {"$includes": _MARK}}), safe=""
)
_BASIC = {"X-Authenticator": "basic"}

_ROUND_TRIP = """\
set -u
ask() {
    printf 'header = "Authorization: Bearer %s"\\n%s' "$NBOPS_TOKEN" "$1" |
        curl --silent --globoff --max-time @ASK@ --noproxy '*' --write-out '\\n%{http_code}' \\
            --config - | tail -n 1
}
look() {
    case $1 in
@LOOKS@
    esac
}
all_say() {
    case $1 in
@COUNTS@
    esac
    while [ "$left" -gt 0 ]; do
        [ "$(look "$1")" = "$2" ] || return 1
        left=$((left - 1))
    done
}
wait_until() {
    until=$(($(date +%s) + @PATIENCE@))
    waiting='@ALL@'
    while :; do
        still=
        for each in $waiting; do
            if all_say "$each" "$1"; then echo "$2 $each"; else still="$still $each"; fi
        done
        waiting=$still
        [ -n "$waiting" ] && [ "$(date +%s)" -lt "$until" ] || break
        sleep 0.2
    done
    [ -z "$waiting" ]
}
clear_away() {
    ask @CLEAR_FIRST@ >/dev/null
}
trap clear_away EXIT
trap 'exit 1' HUP INT TERM
clear_away
made=$(ask @MAKE@)
echo "made $made"
[ "$made" = 200 ] || exit 0
wait_until 200 seen || exit 0
echo "removed $(ask @CLEAR_LAST@)"
wait_until 404 gone || exit 0
"""


@dataclass(frozen=True)
class RoundTrip:
    """What came of a change that was made and taken back. Statuses are HTTP's, 0: no answer.

    `seen` and `gone` hold the places in the list of apps of those that learnt of each.
    """

    made: int = 0
    removed: int = 0
    seen: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()


def round_trip_script(apps: Sequence[Endpoint], mark: str, several: Container[str] = ()) -> str:
    """Makes the change through the first app and takes it back through the last; prints who
    learnt of it. Removes in any case what it made, and what an earlier one left.

    `mark` tells this change from others. NBOPS_TOKEN holds the token. The apps of the hosts
    in `several` are several processes each.
    """
    name = f"{_MARK}{mark}"
    looks = [_request(app, f"/api/storages:getBasicInfo/{name}") for app in apps]
    counts = [_IN_A_ROW if app.host in several else 1 for app in apps]
    holes = {
        "@LOOKS@": _cases(f"ask {look}" for look in looks),
        "@COUNTS@": _cases(f"left={count}" for count in counts),
        "@ALL@": " ".join(str(number) for number in range(len(apps))),
        "@MAKE@": _request(apps[0], "/api/storages:create", _unused_storage(name)),
        "@CLEAR_FIRST@": _request(apps[0], _CLEAR_PATH, {}),
        "@CLEAR_LAST@": _request(apps[-1], _CLEAR_PATH, {}),
        "@ASK@": str(_ASK),
        "@PATIENCE@": str(PATIENCE),
    }
    script = _ROUND_TRIP
    for hole, text in holes.items():
        script = script.replace(hole, text)
    return script


def _unused_storage(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "type": "local",
        "baseUrl": "/storage/uploads",
        "path": name,
        "options": {"documentRoot": "storage/uploads"},
        "default": False,
    }


def _request(app: Endpoint, path: str, body: Any = None) -> str:
    return quote(call_config(app.there + path, headers=_BASIC, body=body).decode())


def _cases(commands: Iterable[str]) -> str:
    return "\n".join(f"        {number}) {text} ;;" for number, text in enumerate(commands))


def read_round_trip(output: str) -> RoundTrip:
    """The answer of `round_trip_script`."""
    said: dict[str, list[int]] = {}
    for line in output.splitlines():
        word, _, number = line.partition(" ")
        if number.isdigit():
            said.setdefault(word, []).append(int(number))
    return RoundTrip(
        made=next(iter(said.get("made", ())), 0),
        removed=next(iter(said.get("removed", ())), 0),
        seen=frozenset(said.get("seen", ())),
        gone=frozenset(said.get("gone", ())),
    )


def deaf(trip: RoundTrip, apps: Sequence[Endpoint]) -> str:
    """Which apps did not learn of what another did; empty when each did."""
    for learnt, told, what in ((trip.seen, apps[0], "made"), (trip.gone, apps[-1], "undone")):
        names = [app.name for number, app in enumerate(apps) if number not in learnt]
        if names:
            return (
                f"a change {what} through {told.name} was not noticed by {', '.join(names)}"
                f" within {PATIENCE} s"
            )
    return ""


def recorded_version(answer: Answer) -> str:
    """The version that last upgraded the database, from an answer of `VERSION_PATH`."""
    return next((str(row.get("value") or "") for row in _rows(answer)), "")


def missing_plugins(answer: Answer, expected: Sequence[str]) -> list[str]:
    """Of `expected`, the plugins that an answer of `pm:list` does not have as enabled."""
    loaded = {
        name
        for entry in _rows(answer)
        if entry.get("enabled")
        for name in (entry.get("name"), entry.get("packageName"))
    }
    return [name for name in expected if name not in loaded]


def stale_plugins(node: Answer, database: Answer) -> list[str]:
    """Enabled plugins whose package on a node (`pm:list`) is of another version than the one
    that the database was brought to (`RECORDED_PLUGINS_PATH`)."""
    recorded = {row.get("name"): row.get("version") for row in _rows(database)}
    return [
        f"{row['name']} {row.get('version')} (database: {recorded[row['name']] or 'none'})"
        for row in _rows(node)
        if row.get("enabled")
        and row.get("name") in recorded
        and row.get("version") != recorded[row["name"]]
    ]


def default_storage(answer: Answer) -> str:
    """The type of the default file storage (`local`, `s3`…); empty when it cannot be told."""
    return next((str(row.get("type") or "") for row in _rows(answer) if row.get("default")), "")


def _rows(answer: Answer) -> list[Mapping[str, Any]]:
    listed = answer.data() if answer.status == 200 else None
    return [row for row in (listed if isinstance(listed, list) else []) if isinstance(row, dict)]
