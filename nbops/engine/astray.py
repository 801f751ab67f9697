"""Jobs whose connection was lost: nobody knows whether they are still at work.

Whatever is done on their host next ends them first, and so does the way back: what they still
did would come after what undoes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from nbops.base.command import Identity
from nbops.base.retry import Stop
from nbops.engine.connections import Connections
from nbops.engine.context import EffectLog
from nbops.engine.settle import settle


@dataclass
class Astray:
    """The jobs of a run that were lost sight of, by the hosts on which they were begun."""

    connections: Connections = field(repr=False)
    log: EffectLog = field(repr=False)
    stop: Stop = field(repr=False)
    _jobs: dict[str, dict[str, Identity]] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def hosts(self) -> list[str]:
        """Where there are such jobs."""
        with self._turn:
            return sorted(host for host, jobs in self._jobs.items() if jobs)

    def note(self, host: str, step: str, identity: Identity) -> None:
        """A job of this step id was begun on a host, or was about to be, and was lost."""
        with self._turn:
            self._jobs.setdefault(host, {})[step] = identity

    def end(self, host: str, say: Callable[[str], None]) -> None:
        """End those of a host, and know that they are dead. Raises what sessions raise: then
        they are still to be ended."""
        with self._turn:
            jobs = dict(self._jobs.get(host, {}))
        for step, identity in jobs.items():
            session = self.connections.session(host)
            settle([step], session, identity, log=self.log, stop=self.stop, end=True, say=say)
            with self._turn:
                self._jobs[host].pop(step, None)
