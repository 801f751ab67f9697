"""Jobs of which nobody can know what they did: their machine went down under them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbops.base.retry import Stop
from tests.engine.conftest import Play, Played

_DEADLINE = 60

HOLD = """
    - hosts: a
      gather_facts: false
      tasks: [{name: one, hold: }]
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The runs have folders of their own, so that their jobs are known from others."""
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    (tmp_path / "go").touch()


def begun(folder: Path) -> int:
    path = folder / "begun"
    return len(path.read_text().splitlines()) if path.exists() else 0


def stopped_at(play: Play, folder: Path, count: int, again: str = "") -> Played:
    """A run that is stopped while the job that is the `count`th there is at work."""
    stop = Stop()

    def watch() -> None:
        end = time.monotonic() + _DEADLINE
        while begun(folder) < count and time.monotonic() < end:
            time.sleep(0.02)
        stop.set()

    watching = threading.Thread(target=watch)
    watching.start()
    played = play(HOLD, stop=stop, again=again)
    watching.join()
    assert (played.code, begun(folder)) == (130, count)
    return played


def kill_jobs(folder: Path) -> None:
    """Kill them as a machine does that goes down."""
    mine = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{folder}/.nbops/run-" in path.read_bytes().decode(errors="replace"):
                mine.add(os.getpgid(int(path.parent.name)))
        except OSError:
            continue
    for group in mine - {os.getpgid(0)}:
        os.killpg(group, signal.SIGKILL)


def test_a_lost_job_that_may_be_repeated_is_repeated_once(play: Play, tmp_path: Path) -> None:
    run = stopped_at(play, tmp_path, 1).run
    kill_jobs(tmp_path)
    stopped_at(play, tmp_path, 2, again=run)
    (tmp_path / "go").touch()
    assert play(HOLD, again=run).code == 0
    assert begun(tmp_path) == 2


def test_a_job_that_is_lost_while_it_is_watched_is_repeated_once(
    play: Play, tmp_path: Path
) -> None:
    killing = threading.Thread(target=_kill_when_begun, args=(tmp_path,))
    killing.start()
    run = stopped_at(play, tmp_path, 2).run
    killing.join()
    (tmp_path / "go").touch()
    assert play(HOLD, again=run).code == 0
    assert begun(tmp_path) == 2


def _kill_when_begun(folder: Path) -> None:
    end = time.monotonic() + _DEADLINE
    while not begun(folder) and time.monotonic() < end:
        time.sleep(0.02)
    kill_jobs(folder)


def test_in_a_loop_what_is_known_is_taken_over_and_what_was_lost_is_told(
    play: Play, tmp_path: Path
) -> None:
    loop = """
    - hosts: a
      gather_facts: false
      tasks:
        - name: one
          shell: echo {{ item }} >>{{ work }}/begun; [ {{ item }} = 1 ] || exec sleep 60
          loop: [1, 2]
    """
    stop = Stop()
    stopping = threading.Thread(target=_stop_when_begun, args=(tmp_path, stop))
    stopping.start()
    run = play(loop, stop=stop).run
    stopping.join()
    kill_jobs(tmp_path)
    first, second = play(loop, again=run).result("one")["results"]
    assert (first["failed"], second["failed"]) == (False, True)
    assert "whether it was done is not known" in second["msg"]
    assert (tmp_path / "begun").read_text() == "1\n2\n"


def _stop_when_begun(folder: Path, stop: Stop) -> None:
    end = time.monotonic() + _DEADLINE
    while begun(folder) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    stop.set()
