"""Which points a series takes, for how long, and what it tells of them."""

from __future__ import annotations

import os
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
WAYS = ("resume", "abort")
BETWEEN = " & "  # stands between the points of one moment


@dataclass(frozen=True)
class Point:
    """Where a run is killed, and where each that goes on with it is killed. `killed` is a file
    with the points at which some were killed already; each that is killed adds its own."""

    at: str
    again: tuple[str, ...]
    how: str
    killed: Path = Path(os.devnull)

    def __str__(self) -> str:
        more = f", again at {', '.join(self.again)}" if self.again else ""
        return f"{self.how} after point {self.at!r}{more}"


@dataclass
class Tally:
    """The points of one command, and what became of them. `total` is how many it has."""

    name: str
    total: int
    points: list[Point]
    met: dict[str, list[str]]
    done: int = 0
    runs: int = 0
    missed: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def take(self, check: Callable[[str, Point], str]) -> None:
        """Check the next one; `check` gives what is wrong, empty when nothing is. All points at
        which something was killed meanwhile are done with it."""
        point, began = self.points.pop(0), time.monotonic()
        met = self.met[point.how]
        with tempfile.TemporaryDirectory() as folder:
            killed = Path(folder, "killed")
            killed.write_text("".join(f"{name}\n" for name in met))
            wrong = check(self.name, replace(point, killed=killed))
            new = killed.read_text().splitlines()[len(met) :]
        self.seconds += time.monotonic() - began
        self.runs += 1
        if wrong:
            self.failures.append(f"{self.name}: {point}: {wrong}")
            _say(f"FAILED {self.failures[-1]}")
        elif point.at not in new:
            self.missed += 1
        else:
            self._count(point, new)

    def leave_out(self, passed: set[str]) -> None:
        """Take none of those that passed meanwhile, in another series with the same file."""
        gone = [one for one in self.points if _key(self.name, one) in passed]
        for one in gone:
            self.met[one.how].append(one.at)
        self.points = [one for one in self.points if one not in gone]

    def _count(self, point: Point, new: list[str]) -> None:
        reached = {one for one in self.points if one.how == point.how and one.at in new}
        self.points = [one for one in self.points if one not in reached]
        self.met[point.how] += new
        self.done += 1 + len(reached)
        for one in (point, *reached):
            _note(_key(self.name, one))

    def __str__(self) -> str:
        each = self.seconds / self.runs if self.runs else 0.0
        return (
            f"{self.name}: {self.done} of {self.total} points in {self.runs} runs,"
            f" {len(self.failures)} failures, {self.missed} not reached, {each:.1f} s each,"
            f" {len(self.points)} left, seed {SEED}"
        )


def names(*logs: Path) -> list[str]:
    """The points of runs, each once, from the files `CHAOS_LOG`."""
    lines = (line for log in logs for line in log.read_text().splitlines())
    return list(dict.fromkeys(name for line in lines for name in line.split(BETWEEN)))


def tally(name: str, points: Sequence[str], wanted: int, *, how: tuple[str, ...] = WAYS) -> Tally:
    """So many points of a command that has `points`, in an order of chance; every one for each
    `how` when `wanted` is 0. Those that passed before, says `CHAOS_DONE`, are not among them.

    A third of what goes on is killed once more, somewhere; or all of it `CHAOS_KILLS` times; or
    `CHAOS_CHAIN` times where nothing was killed yet.
    """
    dice = random.Random(f"{SEED} {name}")  # noqa: S311 - to be repeated, not to be secret
    how = tuple(one for one in how if one in (os.environ.get("CHAOS_HOW") or one))
    every = [(at, one) for at in points for one in how]
    dice.shuffle(every)
    every.sort(key=lambda one: one[0].startswith("after "))  # most are met at what comes next
    times = int(os.environ.get("CHAOS_KILLS") or 0)
    chain = ("new",) * int(os.environ.get("CHAOS_CHAIN") or 0)
    again = [
        chain
        or tuple(str(dice.randint(1, 120)) for _ in range(times or int(dice.random() < 1 / 3)))
        for _ in every
    ]
    all_of_them = [Point(at, more, one) for (at, one), more in zip(every, again, strict=True)]
    passed, open_ones = _passed(), []
    met: dict[str, list[str]] = {one: [] for one in how}
    for point in all_of_them:
        if _key(name, point) in passed:
            met[point.how].append(point.at)
        else:
            open_ones.append(point)
    return Tally(name, len(every), open_ones[: wanted or len(every)], met)


def take(
    tallies: Sequence[Tally],
    check: Callable[[str, Point], str],
    choose: Callable[[list[Tally]], Tally] = lambda open_ones: open_ones[0],
) -> None:
    """Take the points of these commands, until all are taken or `CHAOS_MINUTES` are over;
    `choose` says whose turn it is. Raises AssertionError when something was wrong."""
    end = time.monotonic() + 60 * float(os.environ.get("CHAOS_MINUTES") or "inf")
    while time.monotonic() < end:
        for one in tallies:
            one.leave_out(_passed())
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
