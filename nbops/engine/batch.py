"""The hosts of one play (or one batch of it) while its tasks run: who is live, who failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbops.engine.cursor import Cursor, Frame
from nbops.engine.hosts import Hosts
from nbops.engine.program import Body, Item, Step
from nbops.engine.variables import PlayVariables


@dataclass
class Batch:
    """The hosts that go through a play together.

    `failed` are those whose failure nothing took back (and those that another's failure
    ended), `unreachable` those that are left alone from then on, `removed` what
    `ansible_play_hosts` has no more (a host is in it once for each failure that was not
    rescued). `broken` ends the run after this play, `over` ends it well at once and says why,
    `ended` ends the play's further batches.
    """

    hosts: tuple[str, ...]
    states: Hosts
    play: PlayVariables
    max_fail_percentage: float | None = None
    unreachable: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    cursors: dict[str, Cursor] = field(default_factory=dict)
    broken: bool = False
    over: str = ""
    ended: bool = False

    def begin(self, items: Sequence[Item], facts: Step | None = None) -> None:
        """Every host stands before the first of these steps; `facts` comes before them."""
        body = Body(tuple(items))
        self.cursors = {host: Cursor(Frame(body), facts) for host in self.hosts}

    @property
    def is_part(self) -> bool:
        """Whether the play has more hosts than these."""
        return len(self.hosts) < len(self.play.magic.get("ansible_play_hosts_all", ()))

    @property
    def left(self) -> list[str]:
        """The hosts that can be reached, failed ones too, in their order."""
        return [host for host in self.hosts if host not in self.unreachable]

    @property
    def stuck(self) -> set[str]:
        """Hosts that failed and that nothing rescued."""
        return {host for host in self.cursors if self.cursors[host].failed}

    @property
    def lost(self) -> set[str]:
        """Hosts that failed for good or are unreachable."""
        return self.stuck | (self.unreachable & set(self.hosts))

    def fail(self, host: str) -> None:
        """A failure of a host, or one that counts for it."""
        cursor = self.cursors.get(host)
        if cursor is not None:
            cursor.fail()
        self.removed.append(host)

    def fail_others(self, hosts: Iterable[str], failed: Iterable[str]) -> None:
        """The failure of some ends the way of the others among these hosts."""
        for host in hosts:
            if host not in failed:
                self.failed.add(host)
                self.fail(host)

    def rescued(self, host: str) -> None:
        """A `rescue` takes the host's last failure."""
        if host in self.removed:
            self.removed.remove(host)

    def lose(self, host: str) -> None:
        """The host cannot be reached."""
        self.unreachable.add(host)
        self.removed.append(host)

    def end(self, hosts: Iterable[str]) -> None:
        """These hosts are done with the play."""
        for host in hosts:
            self.cursors[host].end()
            self.removed.append(host)

    def clear_errors(self) -> None:
        """Forgive all failures; who can be reached again goes on where it stopped."""
        for host in self.hosts:
            self.failed.discard(host)
            self.unreachable.discard(host)
            self.cursors[host].root.clear()

    @property
    def beyond_limit(self) -> bool:
        """Whether more hosts have failed for good than `max_fail_percentage` allows."""
        if self.max_fail_percentage is None or not self.hosts:
            return False
        return len(self.failed) / len(self.hosts) > self.max_fail_percentage / 100


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
