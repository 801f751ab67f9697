"""What a run knows of each host while it goes: facts, registered values, counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

RECAP = ("ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored")


@dataclass
class HostState:
    """One host in a run.

    `facts` are what the host said of itself, `set` what `register` and `set_fact` made: both
    are data and never rendered. `failure` is the task because of which it was lost last, and why.
    """

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    set: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RECAP, 0))
    failure: tuple[str, str] | None = None

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

    def failed(self) -> str:
        """That the run failed, and on which hosts."""
        lost = [one.name for one in self._states.values() if _lost(one.counts)]
        return f"failed on {', '.join(lost)}" if lost else "failed"

    def facts_of(self, name: str) -> Iterator[Any]:
        """What `set_fact` or an action set under a name, on every host that has it."""
        for state in self._states.values():
            if name in state.set:
                yield state.set[name]

    def why_lost(self, hosts: Iterable[str]) -> str:
        """Which tasks failed on these hosts, and why, in a line."""
        tasks: dict[str, dict[str, str]] = {}
        for host in sorted(hosts):
            task, why = self[host].failure or ("", "")
            tasks.setdefault(task, {})[host] = why
        own = {task: whys for task, whys in tasks.items() if task}
        return "; ".join(_failed(task, whys) for task, whys in (own or tasks).items())

    @property
    def changed(self) -> tuple[str, ...]:
        """The hosts on which anything was changed."""
        return tuple(name for name, state in self._states.items() if state.counts["changed"])


def _failed(task: str, whys: Mapping[str, str]) -> str:
    what = f"`{task}` failed" if task else "failed"
    reasons = [why.strip().splitlines()[0] for why in whys.values() if why.strip()]
    return f"{what} on {', '.join(whys)}" + (f": {reasons[0]}" if reasons else "")


def _lost(counts: Mapping[str, int]) -> bool:
    return bool(counts["failed"] or counts["unreachable"])
