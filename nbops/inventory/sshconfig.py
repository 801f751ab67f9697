"""What `ssh_config` says of a host that paramiko would not do.

paramiko reads the file too, but knows neither `Include` nor `HostKeyAlias` nor
`UserKnownHostsFile`. A connection that would differ from that of `ssh` is refused by name;
`UserKnownHostsFile` is honoured.
"""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nbops.base.errors import Place, Problem
from nbops.inventory.sshargs import KEEP_STRICT, parse_known_hosts, split_option

_DEEPEST = 16
_CHANGES_CONNECTION = {
    "hostname": "HostName",
    "port": "Port",
    "user": "User",
    "identityfile": "IdentityFile",
    "certificatefile": "CertificateFile",
    "identityagent": "IdentityAgent",
    "proxyjump": "ProxyJump",
    "proxycommand": "ProxyCommand",
    "bindaddress": "BindAddress",
    "bindinterface": "BindInterface",
    "userknownhostsfile": "UserKnownHostsFile",
    "hostkeyalias": "HostKeyAlias",
}
_REFUSED = {
    "hostkeyalias": "put the host's key under its own name or address into known_hosts, and take "
    "the option out for this host",
    "knownhostscommand": "put the host's key into known_hosts",
}


@dataclass(frozen=True, slots=True)
class _Line:
    key: str
    value: str
    place: Place


@dataclass
class ConfigAdvice:
    """What the files say of one host beyond what paramiko does."""

    known_hosts: tuple[Path, ...] = ()
    problems: list[Problem] = field(default_factory=list)


def advice_for(host: str, files: list[Path]) -> ConfigAdvice:
    """What `files` (the user's first, then the system's) say of connecting to `host`.

    Files that are not there or cannot be read say nothing, as with `ssh`.
    """
    advice = ConfigAdvice()
    for file in files:
        for line in _lines_for(host, file):
            if line.key == "include":
                advice.problems += _included(host, line, file.parent)
            elif line.key in _REFUSED:
                advice.problems.append(
                    Problem(
                        f"ssh_config option `{line.key}` for `{host}` is not supported",
                        line.place,
                        _REFUSED[line.key],
                    )
                )
            elif line.key == "userknownhostsfile" and not advice.known_hosts:
                _take_known_hosts(advice, host, line)
    return advice


def _take_known_hosts(advice: ConfigAdvice, host: str, line: _Line) -> None:
    try:
        advice.known_hosts = parse_known_hosts(line.value)
    except ValueError as error:
        advice.problems.append(
            Problem(
                f"ssh_config option `UserKnownHostsFile` for `{host}`: {error}",
                line.place,
                KEEP_STRICT,
            )
        )


def _included(host: str, include: _Line, base: Path) -> list[Problem]:
    """A problem for the first thing that an included file says of how to reach the host."""
    for line in _lines_behind(host, include, base, 0):
        if line.key in _CHANGES_CONNECTION:
            return [
                Problem(
                    f"ssh_config's `Include` brings `{_CHANGES_CONNECTION[line.key]}` for "
                    f"`{host}` from {line.place}, and nbops does not follow it",
                    include.place,
                    f"copy what concerns `{host}` into {include.place.file}, or write it into the "
                    "inventory (ansible_host, ansible_port, ansible_user, ansible_ssh_common_args)",
                )
            ]
    return []


def _lines_behind(host: str, include: _Line, base: Path, depth: int) -> Iterator[_Line]:
    for word in include.value.split():
        path = Path(word).expanduser()
        pattern = str(path if path.is_absolute() else base / path)
        for name in sorted(glob.glob(pattern)):  # noqa: PTH207 - the pattern may be absolute
            for line in _lines_for(host, Path(name)):
                if line.key == "include" and depth < _DEEPEST:
                    yield from _lines_behind(host, line, base, depth + 1)
                else:
                    yield line


def _lines_for(host: str, file: Path) -> Iterator[_Line]:
    """The options of a file that hold for `host`."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    holds = True
    for number, raw in enumerate(text.splitlines(), 1):
        stripped = raw.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, value = split_option(stripped)
        key = key.lower()
        if key == "host":
            holds = _host_matches(host, value.split())
        elif key == "match":
            holds = _match_may_hold(host, value.split())
        elif holds:
            column = len(raw) - len(raw.lstrip()) + 1
            yield _Line(key, value, Place(str(file), number, column))


def _host_matches(host: str, patterns: list[str]) -> bool:
    found = False
    for pattern in patterns:
        if pattern.startswith("!") and fnmatch.fnmatchcase(host, pattern[1:]):
            return False
        found = found or fnmatch.fnmatchcase(host, pattern.strip('"'))
    return found


def _match_may_hold(host: str, words: list[str]) -> bool:
    """Whether a `Match` block can hold: what cannot be known here is taken to hold."""
    pairs = iter(words)
    for word in pairs:
        if word.lower() in {"all", "canonical", "final"}:
            continue
        value = next(pairs, "")
        if word.lower() in {"host", "originalhost"} and not _host_matches(host, value.split(",")):
            return False
    return True
