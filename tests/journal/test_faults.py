"""What happens to the file of the journal itself: never does a run go on from a wrong one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.base.errors import NbopsError
from nbops.base.events import Note
from nbops.base.ids import StepId
from nbops.journal.read import history
from nbops.journal.store import Journal, RunEntry
from nbops.journal.unfinished import Unfinished, unfinished

STEPS = 30


def entry(run: str = "r1") -> RunEntry:
    return RunEntry(
        run=run,
        command="upgrade",
        cluster="c",
        operator="me@here",
        inventory="i.yml",
        runbook="upgrade.yml",
        plan_hash="x",
        plan="{}",
    )


def step(number: int) -> StepId:
    return StepId(f"0.{number}", "node1")


def do(journal: Journal, number: int) -> None:
    """A step as the engine writes it: what undoes it, its intent, its end, what it gave."""
    journal.note_compensation(f"0.{number}", "node1", {})
    journal.intend(step(number), "command", "job")
    journal.conclude(step(number), 0)
    journal.result(StepId(f"0.{number}", "node1", -1), 1, "changed", {"rc": 0})
    journal.outcome(f"0.{number}", "node1", 1, {"status": "changed"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def copied(path: Path, folder: Path) -> Path:
    """The journal as a computer would find it that lost power now."""
    folder.mkdir(parents=True)
    for name in (path.name, f"{path.name}-wal"):
        if path.with_name(name).exists():
            shutil.copy(path.with_name(name), folder)
    return folder / path.name


def is_a_beginning(found: Unfinished) -> bool:
    """Whether it is what the run had written at some moment: each step whole but the last."""
    done = sorted(int(task.partition(".")[2]) for task, _, _ in found.done)
    at_work = [int(one.split("/")[0].partition(".")[2]) for one in found.open_effects]
    whole = done == list(range(len(done)))
    return whole and set(found.outcomes) <= set(found.done) and at_work in ([], [len(done)])


def test_a_torn_log_gives_an_earlier_moment_of_the_run_and_never_a_mixture(path: Path) -> None:
    journal = Journal(path, entry())
    for number in range(STEPS):
        do(journal, number)
    whole = copied(path, path.parent / "whole")
    journal.close()
    size = whole.with_name(f"{whole.name}-wal").stat().st_size
    dice = random.Random(1)  # noqa: S311 - to be repeated, not to be secret
    seen = set()
    for turn in range(40):
        torn = copied(whole, path.parent / f"torn{turn}")
        log = torn.with_name(f"{torn.name}-wal")
        with log.open("r+b") as file:
            file.truncate(dice.randrange(size // 2, size))
        found = unfinished(torn, "r1")
        assert is_a_beginning(found), found
        seen.add(len(found.done))
    assert len(seen) > 5


def test_a_log_with_a_wrong_page_gives_an_earlier_moment_as_well(path: Path) -> None:
    journal = Journal(path, entry())
    for number in range(STEPS):
        do(journal, number)
    whole = copied(path, path.parent / "whole")
    journal.close()
    dice = random.Random(2)  # noqa: S311 - to be repeated, not to be secret
    for turn in range(20):
        torn = copied(whole, path.parent / f"torn{turn}")
        log = torn.with_name(f"{torn.name}-wal")
        with log.open("r+b") as file:
            file.seek(dice.randrange(log.stat().st_size // 2, log.stat().st_size - 600))
            file.write(dice.randbytes(512))
        assert is_a_beginning(unfinished(torn, "r1"))


def test_a_spoilt_page_is_found_before_anything_is_resumed(path: Path) -> None:
    journal = Journal(path, entry())
    for number in range(STEPS):
        do(journal, number)
    journal.close()
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)
    with pytest.raises(NbopsError, match="journal"):
        unfinished(path, "r1")


def test_a_full_disk_stops_the_run_before_the_next_effect(path: Path) -> None:
    journal = Journal(path, entry())
    do(journal, 0)
    journal.intend(step(1), "command", "job")
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count={pages}")

    def fill() -> None:
        for number in range(2, 3000):
            journal.intend(step(number), "x" * 1000, "job")

    with pytest.raises(NbopsError, match="full"):
        fill()
    with pytest.raises(NbopsError, match="full"):
        journal.intend(step(4000), "command", "job")
    journal.close()
    found = unfinished(path, "r1")
    assert str(step(4000)) not in found.open_effects
    assert str(step(1)) in found.open_effects


def removed(path: Path) -> None:
    path.unlink()


def log_removed(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def replaced(path: Path) -> None:
    for one in path.parent.iterdir():
        one.unlink()
    Journal(path, entry("another")).close()


@pytest.mark.parametrize("harm", [removed, log_removed, replaced])
def test_a_journal_that_is_gone_stops_the_run_before_the_next_effect(
    path: Path, harm: Callable[[Path], None]
) -> None:
    journal = Journal(path, entry())
    do(journal, 0)
    journal.intend(step(1), "command", "job")
    harm(path)
    with pytest.raises(NbopsError, match="removed or replaced"):
        journal.intend(step(2), "command", "job")
    journal.close()


def test_two_processes_write_their_runs_into_one_journal(path: Path) -> None:
    one, other = Journal(path, entry("one")), Journal(path, entry("other"))
    for number in range(STEPS):
        do(one, number)
        do(other, number)
    one.close()
    do(other, STEPS)
    other.close()
    assert {run.run for run in history(path)} == {"one", "other"}
    assert len(unfinished(path, "one").done) == STEPS
    assert len(unfinished(path, "other").done) == STEPS + 1


def test_half_a_letter_in_what_a_host_said_is_no_fault(path: Path) -> None:
    journal = Journal(path, entry())
    journal.on_event(Note(level="info", message="file \udcff"))
    journal.outcome("0.0", "node1", 1, {"stdout": "\udcff"})
    journal.intend(step(1), "command", "job")
    journal.close()
    assert unfinished(path, "r1").outcomes["0.0", "node1", 1] == {"stdout": "\udcff"}


def test_what_cannot_be_written_is_an_error_and_no_silence(path: Path) -> None:
    journal = Journal(path, entry())
    with pytest.raises(NbopsError, match="cannot be written"):
        journal.mark("\udcff")
    journal.close()


def test_a_run_that_the_journal_does_not_know_is_an_error(path: Path) -> None:
    Journal(path, entry()).close()
    with pytest.raises(NbopsError):
        unfinished(path, "nobody's")
