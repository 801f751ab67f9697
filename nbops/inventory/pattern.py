"""Host patterns: which hosts a play, `--limit` or `exec` means.

`app`, `app:db` or `app,db` (both), `app:&eu` (in both), `app:!node3` (not that one), `app[0]`,
`app[1:2]` (both ends count), globs (`node*`), regular expressions (`~node[13]`), `all`. As in
ansible-core 2.19 (`inventory/manager.py`), but for one thing: a name that is nowhere in the
inventory is an error here, because the run that a typing error leaves out is the costly one.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path

from nbops.base.errors import Problem, UsageError
from nbops.base.yamlpos import did_you_mean
from nbops.inventory.model import ALL, LOCAL_NAMES, Inventory
from nbops.inventory.ranges import is_ipv6

_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]")
_PART = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_GLOB_SIGNS = frozenset(".?*[")
_LONGEST = 10_000


def match_hosts(inventory: Inventory, pattern: str, limit: str | None = None) -> list[str]:
    """The hosts that `pattern` means, in Ansible's order; of these, those in `limit`.

    `limit` is a pattern too; `@FILE` in it stands for the patterns in a file, one a line.
    Raises UsageError when a name in either is unknown (with the nearest known one), a
    subscript leads beyond the hosts, or a regular expression is wrong. A glob, or a set of
    known names, may still mean no host: the list is empty then. `localhost` is known even
    when the inventory does not name it: it is this machine.
    """
    hosts = _evaluate(inventory, _split(pattern))
    if limit is None:
        return hosts
    kept = set(_evaluate(inventory, _limit_parts(limit)))
    return [host for host in hosts if host in kept]


def _split(pattern: str) -> list[str]:
    if len(pattern) > _LONGEST:
        raise UsageError("a host pattern this long is not meant")
    if "," in pattern:
        parts = pattern.split(",")
    elif is_ipv6(pattern):
        parts = [pattern]
    else:
        parts = _PART.findall(pattern)
        if _PART.sub("", pattern).strip(": \t\n"):
            raise UsageError(f"host pattern `{pattern}`: a bracket without its other half")
    return [part.strip() for part in parts if part.strip()]


def _limit_parts(limit: str) -> list[str]:
    parts: list[str] = []
    for part in _split(limit):
        parts += _file_lines(Path(part[1:])) if part.startswith("@") else [part]
    return parts


def _file_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"limit file {path}: {why}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _evaluate(inventory: Inventory, parts: list[str]) -> list[str]:
    """First all that is named, then what all of `&` share, then without what `!` names."""
    plain = [part for part in parts if part[0] not in "&!"]
    ordered = [
        *(plain or [ALL]),
        *(part for part in parts if part[0] == "&"),
        *(part for part in parts if part[0] == "!"),
    ]
    hosts: dict[str, None] = {}
    for part in ordered:
        sign = part[0] if part[0] in "&!" else ""
        found = _one(inventory, part[len(sign) :])
        if not sign:
            hosts.update(dict.fromkeys(found))
            continue
        chosen = set(found)
        hosts = {host: None for host in hosts if (host in chosen) == (sign == "&")}
    return list(hosts)


def _one(inventory: Inventory, name: str) -> list[str]:
    if name in {"", "~"}:
        raise UsageError("`&`, `!` and `~` in a host pattern need a name behind them")
    if name in inventory.hosts:
        return [name]
    match = None if name.startswith("~") else _SUBSCRIPT.fullmatch(name)
    if match is None:
        return _enumerate(inventory, name)
    hosts = _enumerate(inventory, match[1])
    if not hosts:
        return hosts
    try:
        return _subscript(hosts, match)
    except IndexError:
        raise UsageError(
            f"host pattern `{name}`: `{match[1]}` means {len(hosts)} hosts only",
            hint="the first one has number 0",
        ) from None


def _subscript(hosts: list[str], match: re.Match[str]) -> list[str]:
    if match[2] is not None:
        return [hosts[int(match[2])]]
    first, last = int(match[3]), int(match[4]) if match[4] else -1
    if last == 0:
        return [hosts[first]]
    return hosts[first:] if last == -1 else hosts[first : last + 1]


def _enumerate(inventory: Inventory, expression: str) -> list[str]:
    wanted = _compiled(expression)
    found: dict[str, None] = {}
    groups = [name for name in inventory.groups if wanted.match(name)]
    for group in groups:
        found.update(dict.fromkeys(inventory.hosts_of(group)))
    is_wide = expression.startswith("~") or not _GLOB_SIGNS.isdisjoint(expression)
    if not groups or is_wide:
        found.update(dict.fromkeys(name for name in inventory.hosts if wanted.match(name)))
    if not found and not groups and not is_wide:
        if expression in LOCAL_NAMES:
            return [expression]
        raise _unknown(expression, [*inventory.groups, *inventory.hosts])
    return list(found)


def _compiled(expression: str) -> re.Pattern[str]:
    text = expression[1:] if expression.startswith("~") else fnmatch.translate(expression)
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"host pattern `{expression}`: {error}") from None


def _unknown(expression: str, known: Iterable[str]) -> UsageError:
    names = list(known)
    return UsageError(
        Problem(
            f"no host or group `{expression}` in the inventory",
            hint=did_you_mean(expression, names) or f"there are {', '.join(names[:12])}",
        )
    )
