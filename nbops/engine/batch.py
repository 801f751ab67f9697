"""The hosts of one play (or one batch of it) while its tasks run: who is live, who failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nbops.engine.hosts import Hosts
from nbops.engine.variables import PlayVariables


@dataclass(frozen=True)
class Failure:
    """Why a host left the ordinary way.

    `guarded`: a `rescue` around the task may bring it back. `beyond_rescue`: the nearest one
    is passed over, as it is in Ansible for the hosts on which a failed `run_once` did not run.
    """

    task: str
    result: dict[str, Any]
    guarded: bool = False
    beyond_rescue: bool = False


@dataclass
class Batch:
    """The hosts that go through a play together.

    A failed host can be rescued; an unreachable one only where the block says so; an ended
    one is done with the play. `over` ends the play for all, `fatal` the whole run.
    """

    hosts: tuple[str, ...]
    states: Hosts
    play: PlayVariables
    max_fail_percentage: float | None = None
    earlier: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    unreachable: dict[str, Failure] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)
    over: bool = False

    def live(self, hosts: Iterable[str]) -> list[str]:
        """Those of `hosts` that go on, in their order."""
        if self.over:
            return []
        return [
            host
            for host in hosts
            if host not in self.failed and host not in self.unreachable and host not in self.ended
        ]

    def fail(self, host: str, failure: Failure) -> None:
        """Take a host off the ordinary way."""
        self.failed[host] = failure

    def fail_others(self, task: str, why: str, *, beyond_rescue: bool) -> None:
        """Take all further hosts off the way because of another one's failure."""
        for host in self.live(self.hosts):
            result = {"changed": False, "failed": True, "msg": why}
            self.failed[host] = Failure(task, result, beyond_rescue=beyond_rescue)
            self.marked.add(host)

    def rescue(self, hosts: Iterable[str], *, unreachable: bool) -> list[str]:
        """Put failed hosts (and unreachable ones, when asked) back; gives those that were."""
        back = []
        for host in hosts:
            failure = self.failed.get(host)
            if failure is not None and failure.beyond_rescue:
                self.failed[host] = replace(failure, beyond_rescue=False)
                continue
            if failure is not None:
                del self.failed[host]
            elif unreachable:
                failure = self.unreachable.pop(host, None)
            if failure is None:
                continue
            state = self.states[host]
            state.set["ansible_failed_task"] = {"name": failure.task}
            state.set["ansible_failed_result"] = failure.result
            back.append(host)
        return back

    def clear_errors(self) -> None:
        """Forgive what failed: those hosts are done with this play, and in the next again."""
        self.ended |= self.lost
        self.failed.clear()
        self.unreachable.clear()

    def hold(self, hosts: Iterable[str]) -> dict[str, Failure]:
        """Let failed hosts go on for a while (`always`, forced handlers); gives what to put
        back."""
        return {host: self.failed.pop(host) for host in hosts if host in self.failed}

    def put_back(self, held: dict[str, Failure]) -> None:
        """Take the hosts off the way again that were held; a new failure stays."""
        for host, failure in held.items():
            self.failed.setdefault(host, failure)

    @property
    def lost(self) -> set[str]:
        """Hosts that failed or are unreachable."""
        return self.failed.keys() | self.unreachable.keys()

    def beyond_limit(self) -> bool:
        """Whether more hosts have failed for good than `max_fail_percentage` allows."""
        if self.max_fail_percentage is None:
            return False
        failed = sum(not failure.guarded for failure in self.failed.values()) + self.earlier
        return failed * 100 / len(self.hosts) > self.max_fail_percentage


def batches(hosts: Sequence[str], serial: Any) -> list[tuple[str, ...]]:
    """The batches of a play: `serial` is a number, a percentage, a list of them, or None.

    The last entry of a list is repeated, as in Ansible; a percentage is rounded down, to one
    host at least. Raises ValueError when a value is neither.
    """
    if not hosts:
        return []
    sizes = [_size(one, len(hosts)) for one in (serial if isinstance(serial, list) else [serial])]
    if not sizes:
        return [tuple(hosts)]
    parts: list[tuple[str, ...]] = []
    rest = list(hosts)
    while rest:
        size = sizes[min(len(parts), len(sizes) - 1)]
        if size <= 0:
            size = len(rest)
        parts.append(tuple(rest[:size]))
        rest = rest[size:]
    return parts


def _size(value: Any, count: int) -> int:
    if value is None:
        return 0
    text = str(value).strip()
    try:
        if text.endswith("%"):
            return max(1, int(float(text[:-1]) / 100.0 * count))
        return int(text)
    except ValueError:
        raise ValueError(
            f"`serial` takes numbers and percentages such as 2 or 30%, not `{value}`"
        ) from None
