"""Secrets that can be found again wherever they went: by their core, in any encoding."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

# What a password may hold and quoting, addresses and JSON each write in another way.
_AWKWARD = "'q\"$d&p%61 s\\b#h"


@dataclass(frozen=True)
class Sentinel:
    """One secret: `core` is the part of it that no quoting changes."""

    name: str
    core: str
    awkward: bool = True

    @property
    def value(self) -> str:
        """What is given to nbops."""
        return f"{self.core}{_AWKWARD}" if self.awkward else self.core

    @property
    def traces(self) -> tuple[str, ...]:
        """Texts by which the secret is known, also as a part of something in base64."""
        return (self.core, *_in_base64(self.core))


def sentinel(name: str, *, awkward: bool = True) -> Sentinel:
    """A new secret that nobody else has."""
    return Sentinel(name, f"{name.replace('_', '')}0{secrets.token_hex(12)}", awkward)


def hex_sentinel(name: str) -> Sentinel:
    """A new secret of 64 hex digits."""
    return Sentinel(name, secrets.token_hex(32), awkward=False)


@dataclass
class Sentinels:
    """All secrets of a cluster, by name."""

    given: dict[str, Sentinel] = field(default_factory=dict)

    def add(self, one: Sentinel) -> str:
        """Take one in; gives its value."""
        self.given[one.name] = one
        return one.value

    def found_in(self, text: str | bytes) -> list[str]:
        """The names of those that are in a text, with what is around the first of them."""
        raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        found = []
        for name, one in self.given.items():
            for trace in one.traces:
                at = raw.find(trace.encode())
                if at >= 0:
                    found.append(f"{name}: …{raw[max(0, at - 80) : at + 100]!r}…")
                    break
        return found

    def patterns(self) -> str:
        """One trace a line: for `grep -F -f`."""
        return "".join(f"{trace}\n" for one in self.given.values() for trace in one.traces)

    def named(self, texts: Mapping[str, str]) -> dict[str, list[str]]:
        """Which of several texts hold any."""
        found = {name: self.found_in(text) for name, text in texts.items()}
        return {name: names for name, names in found.items() if names}


def _in_base64(text: str) -> tuple[str, ...]:
    """What base64 makes of a text wherever it begins: the middle, which the rest of the
    content does not change."""
    middles = []
    for before in range(3):
        encoded = base64.b64encode(b"x" * before + text.encode()).decode()
        middles.append(encoded[4:-4])
    return tuple(middles)
