"""Which points a series takes, for how long, and what it tells of them."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
WAYS = ("resume", "abort")


@dataclass(frozen=True)
class Point:
    """Where a run is killed, and at which of its points each that goes on with it is killed."""

    at: int
    again: tuple[int, ...]
    how: str

    def __str__(self) -> str:
        more = f", again at {', '.join(map(str, self.again))}" if self.again else ""
        return f"{self.how} after point {self.at}{more}"


@dataclass
class Tally:
    """The points of one command, and what became of them. `total` is how many it has."""

    name: str
    total: int
    points: list[Point]
    done: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def take(self, check: Callable[[str, Point], str]) -> None:
        """Check the next one; `check` gives what is wrong, empty when nothing is."""
        point, began = self.points.pop(0), time.monotonic()
        wrong = check(self.name, point)
        self.seconds += time.monotonic() - began
        self.done += 1
        if wrong:
            self.failures.append(f"{self.name}: {point}: {wrong}")
            _say(f"FAILED {self.failures[-1]}")
        else:
            _note(_key(self.name, point))

    def __str__(self) -> str:
        each = self.seconds / self.done if self.done else 0.0
        return (
            f"{self.name}: {self.done} of {self.total} points, {len(self.failures)} failures,"
            f" {each:.1f} s each, {len(self.points)} left, seed {SEED}"
        )


def tally(name: str, points: int, wanted: int, *, how: tuple[str, ...] = WAYS) -> Tally:
    """So many points of a command that has `points`, in an order of chance; every one for each
    `how` when `wanted` is 0. Those that passed before, says `CHAOS_DONE`, are not among them.

    A third of what goes on is killed once more, somewhere; or all of it `CHAOS_KILLS` times.
    """
    dice = random.Random(f"{SEED} {name}")  # noqa: S311 - to be repeated, not to be secret
    every = [(at, one) for at in range(1, points + 1) for one in how]
    dice.shuffle(every)
    times = int(os.environ.get("CHAOS_KILLS") or 0)
    again = [
        tuple(dice.randint(1, 120) for _ in range(times or int(dice.random() < 1 / 3)))
        for _ in every
    ]
    all_of_them = [Point(at, more, one) for (at, one), more in zip(every, again, strict=True)]
    passed = _passed()
    open_ones = [point for point in all_of_them if _key(name, point) not in passed]
    return Tally(name, len(every), open_ones[: wanted or len(every)])


def take(
    tallies: Sequence[Tally],
    check: Callable[[str, Point], str],
    choose: Callable[[list[Tally]], Tally] = lambda open_ones: open_ones[0],
) -> None:
    """Take the points of these commands, until all are taken or `CHAOS_MINUTES` are over;
    `choose` says whose turn it is. Raises AssertionError when something was wrong."""
    end = time.monotonic() + 60 * float(os.environ.get("CHAOS_MINUTES") or "inf")
    while time.monotonic() < end:
        open_ones = [one for one in tallies if one.points]
        if not open_ones:
            break
        choose(open_ones).take(check)
    for one in tallies:
        _say(str(one))
    failures = [failure for one in tallies for failure in one.failures]
    assert not failures, "\n\n".join(failures)


def wanted(otherwise: int) -> int:
    """How many points `CHAOS_POINTS` asks for; 0 for all."""
    text = os.environ.get("CHAOS_POINTS", "")
    return 0 if text == "all" else int(text or otherwise)


def _key(name: str, point: Point) -> str:
    return f"{name} {point.how} {point.at}"


def _passed() -> set[str]:
    path = os.environ.get("CHAOS_DONE")
    return set(Path(path).read_text().splitlines()) if path and Path(path).exists() else set()


def _note(key: str) -> None:
    path = os.environ.get("CHAOS_DONE")
    if path:
        with Path(path).open("a") as file:
            file.write(f"{key}\n")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a long series; and the figures that it is for
