"""What a run knows of each host while it goes: facts, registered values, counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

RECAP = ("ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored")


@dataclass
class HostState:
    """One host in a run.

    `facts` are what the host said of itself, `set` what `register` and `set_fact` made: both
    are data and never rendered.
    """

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    set: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RECAP, 0))

    def count(self, *names: str) -> None:
        """Add one to each of these counts of the recap."""
        for name in names:
            self.counts[name] += 1


class Hosts:
    """All hosts of a run by name; one that is only delegated to appears when first used."""

    def __init__(self, names: Iterable[str]) -> None:
        self._states = {name: HostState(name) for name in names}

    def __getitem__(self, name: str) -> HostState:
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = HostState(name)
        return state

    def recap(self) -> Mapping[str, Mapping[str, int]]:
        """The counts of every host that anything was done on."""
        return {
            name: dict(state.counts)
            for name, state in self._states.items()
            if any(state.counts.values())
        }

    @property
    def changed(self) -> bool:
        """Whether anything was changed on any host."""
        return any(state.counts["changed"] for state in self._states.values())
