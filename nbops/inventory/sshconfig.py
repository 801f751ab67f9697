"""What `ssh_config` says of a host that paramiko would not do.

paramiko reads the file too, but does not know `HostKeyAlias`, `RevokedHostKeys` and
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
_REFUSED = {
    "hostkeyalias": "put the host's key under its own name or address into known_hosts, and take "
    "the option out for this host",
    "knownhostscommand": "put the host's key into known_hosts",
    "revokedhostkeys": "put the revoked keys into known_hosts, each as `@revoked * KIND KEY`, and "
    "take the option out for this host",
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
        for line in _lines_of(host, file):
            if line.key in _REFUSED:
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


def _lines_of(host: str, file: Path, depth: int = 0) -> Iterator[_Line]:
    """The options of a file, and of those that it includes, that hold for `host`."""
    for line in _lines_for(host, file):
        if line.key != "include" or depth >= _DEEPEST:
            yield line
            continue
        for word in line.value.split():
            pattern = str(file.parent / Path(word).expanduser())
            for name in sorted(glob.glob(pattern)):  # noqa: PTH207 - the pattern may be absolute
                yield from _lines_of(host, Path(name), depth + 1)


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
