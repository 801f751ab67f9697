"""Which points a series takes, and what it tells of them."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))


@dataclass(frozen=True)
class Point:
    """Where a run is killed, and where, unless 0, what goes on with it is killed once more."""

    at: int
    again: int
    how: str

    def __str__(self) -> str:
        more = f", again at {self.again}" if self.again else ""
        return f"{self.how} after point {self.at}{more}"


@dataclass
class Tally:
    """What became of the points."""

    name: str
    done: int = 0
    failures: list[str] = field(default_factory=list)

    def take(self, points: Iterator[Point], check: Callable[[Point], str]) -> None:
        """Check each; `check` gives what is wrong, empty when nothing is."""
        for point in points:
            wrong = check(point)
            self.done += 1
            if wrong:
                self.failures.append(f"{point}: {wrong}")
                print(f"FAILED {self.failures[-1]}", flush=True)  # noqa: T201 - a long series
        told = f"{self.name}: {self.done} points, {len(self.failures)} failures, seed {SEED}"
        print(told, flush=True)  # noqa: T201 - the figures that the series is for
        assert not self.failures, "\n\n".join([told, *self.failures])


def points(total: int, wanted: int, *, how: tuple[str, ...] = ("resume", "abort")) -> list[Point]:
    """So many points of a run that has `total`; every one for each `how` when `wanted` is 0.

    A third of what goes on is killed once more, somewhere.
    """
    dice = random.Random(SEED)  # noqa: S311 - to be repeated, not to be secret
    every = [(at, one) for at in range(1, total + 1) for one in how]
    chosen = every if wanted == 0 else dice.sample(every, min(wanted, len(every)))
    again = (dice.randint(1, 60) if dice.random() < 1 / 3 else 0 for _ in chosen)
    return [Point(at, more, one) for (at, one), more in zip(chosen, again, strict=True)]


def wanted(otherwise: int) -> int:
    """How many points `CHAOS_POINTS` asks for; 0 for all."""
    text = os.environ.get("CHAOS_POINTS", "")
    return 0 if text == "all" else int(text or otherwise)
