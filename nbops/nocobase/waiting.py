"""When a wait for an app is over: decided from what is seen at each look. Pure but for a clock
that is handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from nbops.nocobase.health import HealthReport
from nbops.nocobase.runtimes.api import NodeState, Start

# An old process may answer for a moment while the new one begins.
_OLD_PROCESS_SECONDS = 15.0
# What is met again within these has stood meanwhile: of several processes each look meets one.
_AGAIN_SECONDS = 15.0
_LOOKS_AT_MOST = 32


class Verdict(StrEnum):
    """What a look at the app means for who waits."""

    WAIT = "wait"
    READY = "ready"
    HOPELESS = "hopeless"


def processes(cluster_mode: object, start: Start) -> int:
    """How many processes an app has at least, by its CLUSTER_MODE and how it was started."""
    if start is Start.FIRST or not cluster_mode or cluster_mode == "max":
        return 1
    return int(str(cluster_mode))


def looks_needed(cluster_mode: object, start: Start) -> int:
    """How many looks it takes to have met every process of an app: two for each of several."""
    if cluster_mode == "max" and start is not Start.FIRST:
        return _LOOKS_AT_MOST
    number = processes(cluster_mode, start)
    return 2 * number if number > 1 else 1


@dataclass(slots=True)
class Wait:
    """A wait for one node to serve one version.

    `silence` is how many seconds nothing new may be seen at all, `limit` how many the whole may
    take. `now` gives seconds on a clock that never goes back. `steady` is how many looks in
    a row must find it serving: of several processes each look may meet another one.
    """

    version: str
    silence: float
    limit: float
    now: Callable[[], float]
    steady: int = 1
    reason: str = ""
    _began: float = field(init=False)
    _moved: float = field(init=False)
    _last: tuple[HealthReport, str | None] | None = None
    _met: dict[tuple[HealthReport, str | None], tuple[float, float]] = field(default_factory=dict)
    _good: int = 0

    def __post_init__(self) -> None:
        self._began = self._moved = self.now()

    def look(self, state: NodeState, health: HealthReport, version: str | None) -> Verdict:
        """Take one look into account; `reason` says why the wait goes on or ends."""
        now = self.now()
        stood = self._stood(health, version, now)
        if health.up and version == self.version:
            self._good += 1
            self.reason = f"serves {version}"
            return Verdict.READY if self._good >= self.steady else Verdict.WAIT
        self._good = 0
        self.reason = self._why_hopeless(state, health, version, now, stood)
        if self.reason:
            return Verdict.HOPELESS
        self.reason = f"serves {version or 'no version yet'}" if health.up else str(health)
        return Verdict.WAIT

    @property
    def promising(self) -> bool:
        """Whether the last look found it serving, and more of them are needed."""
        return 0 < self._good < self.steady

    def _stood(self, health: HealthReport, version: str | None, now: float) -> float:
        """Seconds for which this has been seen, again and again."""
        this = (health, version)
        first, latest = self._met.get(this, (now, now))
        if this != self._last and now - latest > _AGAIN_SECONDS:
            first = now
        if first == now:
            self._moved = now
        self._last, self._met[this] = this, (first, now)
        return now - first

    def _why_hopeless(
        self, state: NodeState, health: HealthReport, version: str | None, now: float, stood: float
    ) -> str:
        still = now - self._moved
        trouble = f" ({state.trouble})" if state.trouble else ""
        impatient = health.patience is not None and stood >= health.patience
        other = health.up and version is not None and stood >= _OLD_PROCESS_SECONDS
        reasons = (
            (not state.there, "it was never started"),
            (not state.running, f"it has ended with status {state.exit_code}{trouble}"),
            (bool(state.restarts), f"it ends again and again, {state.restarts} times so far"),
            (other, f"it serves {version}, not {self.version}"),
            (impatient, f"{health.state}: {health}"),
            (still >= self.silence, f"nothing has moved for {still:.0f} s; the last was: {health}"),
            (
                now - self._began >= self.limit,
                f"it is not done after {self.limit:.0f} s; the last was: {health}",
            ),
        )
        return next((reason for holds, reason in reasons if holds), "")
