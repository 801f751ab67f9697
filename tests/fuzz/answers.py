"""Hosts whose answers are spoilt on their way: what a run then says, and what it costs."""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

from nbops.base.command import Command, Outcome
from nbops.cli.main import call
from nbops.transport.host import HostSession
from nbops.transport.session import Watch
from tests.fuzz.hurried import hurried
from tests.fuzz.mutate import spoilt

# Exit codes that a user knows: failed, refused, rolled back, hosts unusable, locked, stuck.
ENDS = frozenset({0, 1, 2, 3, 4, 5, 6})
SLOWEST = 300  # seconds by the clock, waits of the procedure among them
MEMORY = 400 * 2**10  # KiB beyond what the process had
_HUGE = 1_000_000
_SAID = 4000


def spoil(outcome: Outcome, rng: random.Random) -> Outcome:
    """Another answer in place of this one: nothing, a part, more than asked for, no text at
    all, other numbers, another exit status."""
    out = outcome.stdout
    match rng.randrange(8):
        case 0:
            out = b""
        case 1:
            out = out[: rng.randrange(len(out) + 1)]
        case 2:
            out = rng.randbytes(rng.randrange(2000))
        case 3:
            out += rng.choice((b"x", b"\n", b"[", b"\0", b"\xff")) * rng.randrange(_HUGE)
        case 4:
            return replace(outcome, status=rng.choice((1, 2, 4, 126, 127, 137, 255, 3)))
        case 5:
            digits = str(rng.choice((0, -1, 2**63, 10**40, "nan"))).encode()
            out = bytes(out).translate(None, b"0123456789") + digits
        case _:
            text = spoilt(out.decode("utf-8", "surrogateescape"), rng)
            out = text.encode("utf-8", "surrogatepass")
    return replace(outcome, stdout=out)


@dataclass
class Spoiler:
    """Spoils some of all answers that come from hosts, by chance."""

    rng: random.Random
    chance: float
    spoilt: int = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While it lasts."""
        plain = HostSession.run

        def run(host: HostSession, command: Command, watch: Watch | None = None) -> Outcome:
            outcome = plain(host, command, watch)
            if self.rng.random() >= self.chance:
                return outcome
            self.spoilt += 1
            return spoil(outcome, self.rng)

        with patch.object(HostSession, "run", run):
            yield


@dataclass
class Tally:
    """What came of the attempts."""

    ends: dict[int, int] = field(default_factory=dict)
    spoilt: int = 0
    slowest: float = 0.0

    def __str__(self) -> str:
        ends = ", ".join(f"{number} with {code}" for code, number in sorted(self.ends.items()))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return (
            f"{sum(self.ends.values())} runs ({ends}), {self.spoilt} answers spoilt,"
            f" slowest {self.slowest:.1f} s, peak {peak} MB"
        )


def attempt(arguments: Sequence[str], seed: int, chance: float, tally: Tally) -> None:
    """One command whose hosts answer so. Raises AssertionError for what no user should see."""
    spoiler = Spoiler(random.Random(seed), chance)  # noqa: S311
    out, err = io.StringIO(), io.StringIO()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        spoiler.at_work(),
        hurried(SLOWEST),
    ):
        code = call([*arguments, "--json"])
    said = f"seed {seed}, {arguments}: exit {code}\n{out.getvalue()[-_SAID:]}\n{err.getvalue()}"
    assert code in ENDS, said
    assert "this is a bug in nbops" not in out.getvalue() + err.getvalue(), said
    assert "Traceback" not in err.getvalue(), said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY, said
    tally.slowest = max(tally.slowest, time.monotonic() - began)
    tally.spoilt += spoiler.spoilt
    tally.ends[code] = tally.ends.get(code, 0) + 1


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """The computer of somebody who has done nothing yet, as far as nbops can tell."""
    folder.mkdir(exist_ok=True)
    here = Path.cwd()
    with patch.dict(os.environ, {"HOME": str(folder), "LC_ALL": "C.UTF-8"}):
        os.environ.pop("XDG_STATE_HOME", None)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)
