"""How long visitors got the 503 page, and what took that long: from the events of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nbops.base.clean import one_line
from nbops.base.events import Event, MaintenanceMark, PhaseStarted
from nbops.report.lines import Line, Span, Tone, duration, line

_LEAST = 0.05  # seconds; a part that rounds to nothing is not told


@dataclass
class Downtime:
    """The time from the first balancer's 503 page to the last one's end, and its parts: how
    long each phase of the run lasted in it."""

    parts: dict[str, float] = field(default_factory=dict)
    began: float | None = None  # when the page went up, while it stands
    _down: set[str] = field(default_factory=set)
    _phase: str = ""
    _since: float = 0.0

    @property
    def seconds(self) -> float:
        """All parts together."""
        return sum(self.parts.values())

    @classmethod
    def of(cls, events: Iterable[Event]) -> Downtime:
        """What these events of a run tell, as of the last one."""
        downtime = cls()
        for event in events:
            downtime.take(event)
        return downtime

    def take(self, event: Event) -> None:
        """Take an event into account, in their order."""
        if isinstance(event, PhaseStarted):
            self._count(event.time)
            self._phase = event.phase
        elif isinstance(event, MaintenanceMark):
            self._count(event.time)
            if event.on:
                self._down.add(event.host)
            else:
                self._down.discard(event.host)
            if not self._down:
                self.began = None
            elif self.began is None:
                self.began = event.time

    @property
    def stands(self) -> bool:
        """Whether a balancer answers 503 still."""
        return bool(self._down)

    def until(self, now: float) -> None:
        """Count up to `now`, the end of the run."""
        self._count(now)

    def lines(self, now: float) -> list[Line]:
        """What to say of it at the end of a run; nothing when there was no 503."""
        self.until(now)
        if not self.parts:
            return []
        told = [
            f"{one_line(name) or 'run'} {duration(seconds)}"
            for name, seconds in self.parts.items()
            if seconds >= _LEAST
        ]
        words = f"503 for {duration(self.seconds)}"
        words += ", and it stands" if self.stands else ""
        parts = f": {', '.join(told)}" if told else ""
        return [line(Span(words, Tone.BAD if self.stands else Tone.WARNING), parts)]

    def _count(self, now: float) -> None:
        if self._down:
            self.parts[self._phase] = self.parts.get(self._phase, 0.0) + now - self._since
        self._since = now
