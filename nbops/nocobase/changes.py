"""What a deploy has to do: from what is recorded, what is wanted and what runs. Pure.

Most changes of a node's settings concern that node: the nodes are restarted one after the
other, and visitors notice nothing. Some must be the same everywhere at the same moment (a key,
the database, Redis): all nodes stop together, behind the 503 page. Some let the app change the
database at its next start (plugins, another image): then the database is backed up as well.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any


class Scope(IntEnum):
    """What has to stand still while a setting changes."""

    NODE = 0
    CLUSTER = 1
    DATABASE = 2


_KEY = "what one node signs or encrypts, all must be able to read"
_DATABASE = "all nodes write to one database"
_REDIS = "nodes that use different Redis servers do not hear each other, and hold no common lock"
_PATHS = "the requests of one visitor go to several nodes"
_PLUGINS = "the app installs and migrates plugins when it starts"
_TOGETHER: Sequence[tuple[str, Scope, str]] = (
    (r"APP_KEY|APP_AES_SECRET_KEY(_PATH)?|ENCRYPTION_FIELD_KEY", Scope.CLUSTER, _KEY),
    (r"DB_.*", Scope.CLUSTER, _DATABASE),
    (r"(CACHE|PUBSUB_ADAPTER|LOCK_ADAPTER|QUEUE_ADAPTER)_.*", Scope.CLUSTER, _REDIS),
    (r"QUEUE_ADAPTER|PUBSUB_ADAPTER|REDIS_URL|RABBITMQ_.*", Scope.CLUSTER, _REDIS),
    (r"API_BASE_(PATH|URL)|APP_PUBLIC_PATH|WS_(PATH|URL)", Scope.CLUSTER, _PATHS),
    (r"PLUGIN_STATICS_PATH", Scope.CLUSTER, _PATHS),
    (r"TZ", Scope.CLUSTER, "nodes in two time zones write different dates"),
    (r"APP_PORT", Scope.CLUSTER, "the balancers know one address of each node"),
    (r"APPEND_PRESET_BUILT_IN_PLUGINS|NBOPS_LOCAL_PLUGINS", Scope.DATABASE, _PLUGINS),
    (r"NOCOBASE_PKG_(URL|USERNAME)", Scope.DATABASE, _PLUGINS),
)
"""Variables of which all nodes must have the same at every moment; every other one may differ
from node to node while they are restarted one by one."""

_FIELDS: Mapping[str, tuple[str, Scope, str]] = {
    "image": ("the image", Scope.DATABASE, "another image can hold other plugins"),
    "storage": ("the storage folder", Scope.CLUSTER, "all nodes must see the same files"),
    "kind": ("the runtime", Scope.NODE, ""),
    "folder": ("the folder", Scope.NODE, ""),
    "user": ("the user", Scope.NODE, ""),
}
_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a node that is not as it was: its name, what it concerns, and why."""

    name: str
    scope: Scope
    why: str = ""


def scope_of(variable: str) -> tuple[Scope, str]:
    """What a change of an environment variable concerns, and why."""
    for pattern, scope, why in _TOGETHER:
        if re.fullmatch(pattern, variable):
            return scope, why
    return Scope.NODE, ""


def differences(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> tuple[Difference, ...]:
    """What is different between a node's plans in a release and those that are wanted: as
    `Release.nodes` has them. No value is told."""
    found: dict[str, Difference] = {}
    if len(old) != len(new):
        why = "the balancers know as many addresses of each node"
        found["instances"] = Difference("the number of instances", Scope.CLUSTER, why)
    for before, after in zip(old, new, strict=False):
        for field, (name, scope, why) in _FIELDS.items():
            if before.get(field, "") != after.get(field, ""):
                found[field] = Difference(name, scope, why)
        for text in ("environment", "first_environment"):
            for name in _changed(str(before[text]), str(after[text])):
                found[name] = Difference(name, *scope_of(name))
    return tuple(found.values())


def _changed(before: str, after: str) -> list[str]:
    one, two = (dict(_LINE.findall(text)) for text in (before, after))
    return [name for name in {**one, **two} if one.get(name) != two.get(name)]


@dataclass(frozen=True, slots=True)
class Standing:
    """A node of the group `app`, as it is seen before anything is done.

    `due` says why it has to be started (again), empty when it runs as wanted; `runs` whether
    anything of it runs that would be disturbed by that; `up` whether it serves now; `known`
    whether what runs is as recorded or as wanted; `visited` whether it is for requests;
    `changes` is how the inventory differs from the record, for a node that the record has.
    `closed`: an earlier run put the 503 page up and did not come to its end.
    """

    host: str
    due: str = ""
    runs: bool = False
    up: bool = False
    known: bool = True
    visited: bool = True
    changes: tuple[Difference, ...] = ()
    closed: bool = False


class Way(StrEnum):
    """How a deploy goes."""

    FIRST = "first"
    NOTHING = "nothing"
    ONE_BY_ONE = "one by one"
    TOGETHER = "together"


@dataclass(frozen=True, slots=True)
class Change:
    """What a deploy does with the nodes.

    `new` are nodes that the record has not (all, when there is none). `start` are nodes that do
    not run, or are started after all were stopped; `stop` those that stop together, `restart`
    those that are restarted one by one; `leave` those that the record has and the group `app` has
    not, `gone` those that the inventory has not either. `close`: the 503 page goes up. `open`: it
    is taken down at the end. `backup`: the database first.
    """

    way: Way
    new: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    close: bool = False
    open: bool = False
    backup: bool = False
    told: tuple[str, ...] = ()


def decide(
    recorded: Sequence[str] | None, inventory: Iterable[str], nodes: Sequence[Standing]
) -> Change:
    """What is to be done. `recorded` are the nodes of the present release (None: there is
    none), `inventory` all hosts there are, `nodes` those of the group `app`.

    Raises ValueError when no node of the release stays: nobody would be left to serve.
    """
    names = {node.host for node in nodes}
    closed = any(node.closed for node in nodes)
    if recorded and names.isdisjoint(recorded):
        raise ValueError(f"none of {_list(recorded)}, which serve now, stays in the group `app`")
    leave, gone = _away([host for host in recorded or () if host not in names], set(inventory))
    new = tuple(node.host for node in nodes if node.host not in (recorded or ()))
    if recorded is None:
        return Change(Way.FIRST, new=new, start=new, open=closed)
    due = [node for node in nodes if node.due]
    down = tuple(node.host for node in due if not node.runs)
    running = tuple(node.host for node in due if node.runs)
    scopes = {change.scope for node in nodes for change in node.changes}
    migrates = bool(due) and Scope.DATABASE in scopes
    reasons = _together(nodes) if running or closed or migrates else ()
    told = _told(nodes, set(new), leave, gone)
    if reasons or closed:
        return Change(
            Way.TOGETHER,
            new=new,
            start=tuple(node.host for node in due),
            stop=running,
            leave=leave,
            gone=gone,
            close=bool(running) or migrates,
            open=True,
            backup=migrates,
            told=(*told, *_why_together(running, reasons, closed=closed)),
        )
    if not (due or leave or gone):
        return Change(Way.NOTHING, new=new)
    if running:
        told += (f"restarted one after the other, while the rest serves: {_list(running)}",)
    return Change(
        Way.ONE_BY_ONE,
        new=new,
        start=down,
        restart=running,
        leave=leave,
        gone=gone,
        told=told,
    )


def _away(
    hosts: Sequence[str], inventory: Container[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of nodes that are none any more those that can be reached, and those that cannot."""
    leave = tuple(host for host in hosts if host in inventory)
    return leave, tuple(host for host in hosts if host not in inventory)


def _together(nodes: Sequence[Standing]) -> tuple[str, ...]:
    """Why nodes that run cannot be restarted one by one."""
    found: dict[str, None] = {}
    for node in nodes:
        for change in node.changes:
            if change.scope is not Scope.NODE:
                found[f"{change.name} changes, and {change.why}"] = None
        if node.due and node.runs and not node.known:
            found[f"{node.host} runs with settings that are neither recorded nor wanted"] = None
    visited = [node for node in nodes if node.visited]
    if len(visited) == 1 and visited[0].due and visited[0].runs:
        found[f"{visited[0].host} is the only node that serves visitors"] = None
    return tuple(found)


def _why_together(
    running: Sequence[str], reasons: Sequence[str], *, closed: bool
) -> tuple[str, ...]:
    unfinished = "an earlier run ended behind its 503 page"
    if not running:
        why = "; ".join((*reasons, *([unfinished] if closed else [])))
        return (f"visitors get 503 until the nodes have started: {why}",)
    return (f"visitors get 503 while {_list(running)} stop together: {'; '.join(reasons)}",)


def _told(
    nodes: Sequence[Standing], added: set[str], leave: Sequence[str], gone: Sequence[str]
) -> tuple[str, ...]:
    lines = [f"{node.host} joins" for node in nodes if node.host in added]
    lines += [
        f"{node.host} is started: {node.due}"
        for node in nodes
        if node.due and not node.runs and node.host not in added
    ]
    changed = dict.fromkeys(change.name for node in nodes for change in node.changes)
    if changed:
        lines.append(f"what has changed in the inventory: {', '.join(changed)}")
    lines += [f"{host} leaves: it gets no more requests, and is stopped" for host in leave]
    lines += [
        f"{host} is in the inventory no more: it gets no requests from here on, but nbops cannot"
        " reach it to stop its app"
        for host in gone
    ]
    return tuple(lines)


def _list(names: Sequence[str]) -> str:
    *head, last = names or ("no node",)
    return f"{', '.join(head)} and {last}" if head else last
