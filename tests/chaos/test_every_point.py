"""A run is killed at every point, and then goes on, or is undone: nothing is done twice, and it
ends as if nothing had been."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.play import Desk, desk, killed
from tests.chaos.series import Point, names, take, tally, wanted


class Undisturbed:
    """How the run ends when nobody kills it."""

    def __init__(self, folder: Path) -> None:
        made, passed = desk(folder), folder / "points"
        code, out = made.begin(points=passed)
        assert code == 0, out
        self.log, self.state = made.log(), made.state()
        self.points = names(passed)
        self.moments = len(passed.read_text().splitlines())
        self._folder = folder.parent

    def check(self, _name: str, point: Point) -> str:
        """Empty, or what is wrong after a kill there."""
        made = desk(self._folder / f"{point.how}-{time.monotonic_ns()}")
        code, out = made.begin(point.at, killed=point.killed)
        if not killed(code):
            return self._ended(made, code, out)
        if not made.nbops("history")[1].strip():
            return self._ended(made, *made.begin())
        return self._gone_on(made, point)

    def _gone_on(self, made: Desk, point: Point) -> str:
        for at in (*point.again, ""):
            code, out = made.nbops(point.how, at=at, killed=point.killed)
            if not killed(code):
                break
        if "no run from this computer was interrupted" in out:
            if point.how == "abort" and made.state() == {}:
                return ""
            return self._ended(made, *(made.begin() if made.state() == {} else (0, out)))
        if point.how == "abort":
            return self._undone(made, code, out)
        return self._ended(made, code, out)

    def _ended(self, made: Desk, code: int, out: str) -> str:
        wrong = ""
        if code != 0:
            wrong += f" exit code {code};"
        if made.log() != self.log:
            wrong += f" done twice {made.log() - self.log}, not done {self.log - made.log()};"
        if made.state() != self.state:
            wrong += f" left behind {sorted(made.state().items() ^ self.state.items())};"
        return wrong and f"{wrong}\n{out}"

    def _undone(self, made: Desk, code: int, out: str) -> str:
        wrong = ""
        twice = made.log() - self.log
        if code != 0:
            wrong += f" exit code {code};"
        if twice:
            wrong += f" done twice {twice};"
        if made.state():
            wrong += f" left behind {sorted(made.state())};"
        return wrong and f"{wrong}\n{out}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("chaos") / "undisturbed")


def test_some_points(undisturbed: Undisturbed) -> None:
    assert Counter(undisturbed.log.values())[1] > 20
    take([tally("runbook", undisturbed.points, 4)], undisturbed.check)


@pytest.mark.series
def test_every_point(undisturbed: Undisturbed) -> None:
    take([tally("runbook", undisturbed.points, wanted(0))], undisturbed.check)


def test_a_run_that_was_killed_before_its_last_word_is_undone_all_the_same(tmp_path: Path) -> None:
    made = desk(tmp_path / "last")
    assert killed(made.begin("~UPDATE runs SET ended_at")[0])
    assert made.state()
    assert killed(made.nbops("abort", at="60")[0])
    code, out = made.nbops("abort")
    assert (code, made.state()) == (0, {}), out


@pytest.mark.parametrize(("how", "ends"), [("abort", 0), ("resume", 3)])
def test_an_abort_that_was_killed_with_nothing_to_undo_is_one_still(
    tmp_path: Path, how: str, ends: int
) -> None:
    made = desk(tmp_path / "nothing")
    looks = "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: seen}\n"
    (made.folder / "play.yml").write_text(looks + (made.folder / "play.yml").read_text())
    assert killed(made.begin("~before journal event step_ended 0.0 a")[0])
    assert killed(made.nbops("abort", at="~after journal INSERT OR IGNORE INTO marks (run, und")[0])
    code, out = made.nbops(how)
    assert (code, made.state()) == (ends, {}), out
    assert f"(exit {ends})" in out or not ends, out


def test_two_that_go_on_with_the_same_run_do_nothing_twice(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    made = desk(tmp_path / "two")
    assert killed(made.begin(str(undisturbed.moments // 3))[0])
    with ThreadPoolExecutor(2) as workers:
        both = [workers.submit(made.nbops, "resume") for _ in range(2)]
        ends = [one.result() for one in both]
    if all(code for code, _ in ends):
        ends.append(made.nbops("resume"))
    assert sum(code == 0 for code, _ in ends) == 1, ends
    assert all(code in {0, 2, 5} for code, _ in ends), ends
    assert (made.log(), made.state()) == (undisturbed.log, undisturbed.state)


def test_what_was_changed_before_a_kill_notifies_its_handler(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    made = desk(tmp_path / "notified")
    assert killed(made.begin("after job 0.4/a/a1p0")[0])
    assert killed(made.nbops("resume", at="after job 0.5/a/a1p0")[0])
    code, out = made.nbops("resume")
    assert (code, made.log(), made.state()) == (0, undisturbed.log, undisturbed.state), out
