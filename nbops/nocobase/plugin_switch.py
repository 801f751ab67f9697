"""Which plugins are enabled, and whether that may be changed while the cluster stays. Pure.

`pm:list` of NocoBase 2.2.15 names every plugin whose package a node has, whether it is enabled
or not. What the environment names (`plugins.append`) is enabled at every start.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote as percent

from nbops.base.errors import Problem, RefusedError
from nbops.nocobase.environment import plain_name

LIST_PATH = "/api/pm:list"
PACKAGE = "@nocobase/plugin-"


def switch_path(names: Sequence[str], *, enable: bool) -> str:
    """The address that enables or disables plugins, and answers when it has done so (2.2.15:
    `awaitResponse`; a version that does not know it answers at once)."""
    verb = "enable" if enable else "disable"
    return f"/api/pm:{verb}?awaitResponse=true&filterByTk={percent(','.join(names), safe='')}"


def row_of(rows: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The plugin of this name: its own, that of its package, or the package's short form."""
    for row in rows:
        known = {str(row.get("name") or ""), str(row.get("packageName") or "")}
        if name in known or f"{PACKAGE}{name}" in known:
            return row
    return None


def not_yet(rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, enable: bool) -> list[str]:
    """Of `names`, the plugins that are not as wanted."""
    found = {name: row_of(rows, name) for name in names}
    return [name for name, row in found.items() if bool(row and row.get("enabled")) is not enable]


def to_switch(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    appended: Sequence[str],
    *,
    enable: bool,
) -> list[str]:
    """The plugins that have to be switched, by the names that the app has for them.

    Raises RefusedError with everything that cannot be done.
    """
    problems = []
    wanted: dict[str, None] = {}
    for name in names:
        row = row_of(rows, name)
        if row is None:
            problems.append(_unknown(rows, name))
        elif not enable and plain_name(name) in {plain_name(one) for one in appended}:
            problems.append(
                Problem(
                    f"{name} is in `plugins.append`: the app would enable it again at every start",
                    None,
                    "take it out there; `nbops deploy` then brings that about by the same"
                    " procedure, and `nbops plugin disable` after that",
                )
            )
        elif not enable and row.get("builtIn"):
            problems.append(
                Problem(
                    f"{name} is a part of the app itself, and cannot be disabled",
                    None,
                    "the app counts on its own plugins, and enables them at every upgrade",
                )
            )
        elif bool(row.get("enabled")) is not enable:
            wanted[str(row.get("packageName") or row.get("name"))] = None
    if problems:
        raise RefusedError.of(problems)
    return list(wanted)


def _unknown(rows: Sequence[Mapping[str, Any]], name: str) -> Problem:
    known = [str(row.get(key)) for row in rows for key in ("name", "packageName") if row.get(key)]
    near = difflib.get_close_matches(name, known, 1)
    meant = f": did you mean `{near[0]}`?" if near else ""
    return Problem(
        f"no node has a plugin `{name}`{meant}",
        None,
        "a package of your own goes into `plugins.local`, one of NocoBase's service into"
        " `plugins.append`; `nbops deploy` brings it to the nodes",
    )
