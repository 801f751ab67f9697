"""The live view: its picture as text, and the whole on a pseudo-terminal."""

import contextlib
import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from nbops.base.events import Event
from nbops.lab.events import LabStep
from nbops.report.lines import line
from nbops.report.live import Scene, cut
from nbops.report.tally import Tally
from nbops.report.terminal import TerminalObserver
from tests.report.report_events import (
    NODES,
    ended,
    good_run,
    maintenance,
    note,
    over,
    progress,
    started,
    task,
)

SCRIPT = Path(__file__).with_name("draw_live.py")
# All that the view may send beside text: colours, erasing a line, going up a line.
HARMLESS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[2K|\x1b\[1A|\r")


def scrolled(*events: Event, verbosity: int = 0) -> list[str]:
    """What scrolls, without the live part (as on a console that is no terminal)."""
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=False)
    observer = TerminalObserver(console, verbosity=verbosity, clock=lambda: 0.0)
    for event in events:
        observer.on_event(event)
    observer.close()
    return [row for row in stream.getvalue().splitlines() if row]


def picture(scene: Scene, now: float = 20, width: int = 80, height: int = 24) -> list[str]:
    return [one.text for one in scene.lines(now, width=width, height=height)]


def test_a_good_run_leaves_a_few_lines_behind() -> None:
    assert scrolled(*good_run()) == [
        "deploy: demo, 3 hosts, run R1",
        "prepare",
        "  Write the environment: ok node2, node3, changed node1",
        "start",
        "  Start the first node: changed node1 (14 s)",
        "deploy: done in 15 s, 2 changes on 1 host",
        "  NocoBase 2.2.15 serves at http://198.18.0.2",
    ]


def test_a_task_that_was_skipped_everywhere_leaves_nothing_behind() -> None:
    skipped = [ended("Skip", host, "skipped") for host in NODES]
    assert scrolled(task("Skip"), *skipped) == []


def test_a_failure_is_shown_at_once_with_its_output_and_again_in_the_recap() -> None:
    rows = scrolled(
        started(),
        task("Copy"),
        ended("Copy", "node1", "failed", message="no space", result={"rc": 1, "stderr": "full"}),
        ended("Copy", "node2"),
        ended("Copy", "node3"),
        over({"node1": {"failed": 1}, "node2": {"ok": 1}, "node3": {"ok": 1}}, exit_code=1),
    )
    assert rows[1:] == [
        "    failed       node1: no space",
        "      exit status 1",
        "      stderr:",
        "        | full",
        "  Copy: ok node2, node3, failed node1",
        "  node2, node3: ok=1",
        "  node1: failed=1",
        "deploy: failed on node1, after 0.0 s (exit 1)",
    ]


def test_warnings_and_the_503_page_stand_out() -> None:
    assert scrolled(note("no adapters"), maintenance("lb", on=True)) == [
        "WARNING: no adapters",
        "  lb answers 503 from now on",
    ]


def test_the_picture_names_phase_task_hosts_and_what_they_say() -> None:
    tally = Tally(task("Start and wait", time=10))
    tally.progress(progress("Start and wait", "node2", "load plugin [ai], 49/77"))
    tally.take(ended("Start and wait", "node1", "changed"))
    assert picture(Scene(phase="start", tally=tally)) == [
        "start › Start and wait  1 of 3 hosts  10 s",
        "  node2  load plugin [ai], 49/77  10 s",
        "  node3",
    ]


def test_the_picture_counts_the_503_time() -> None:
    scene = Scene(tally=Tally(task("Dump", ("db",), time=18)), maintenance=15)
    assert picture(scene)[0] == "Dump  2.0 s  503 for 5.0 s"


def test_a_hundred_hosts_fit_on_a_small_screen() -> None:
    hosts = tuple(f"node{number}" for number in range(100))
    tally = Tally(task("Wait", hosts, time=10))
    for host in hosts[:50]:
        tally.progress(progress("Wait", host, "loading"))
    rows = picture(Scene(tally=tally), height=12)
    assert len(rows) == 9
    assert rows[-1] == "  node7, node8, node9, node10 and 89 more"


@pytest.mark.parametrize("width", [10, 20, 40, 80, 200])
def test_no_line_of_the_picture_is_wider_than_the_screen(width: int) -> None:
    tally = Tally(task("A task with a name that is much too long for it " * 3, time=10))
    tally.progress(progress("x", "node1", "插件 " * 60))
    tally.progress(progress("x", "node2", "a message that goes on " * 9))
    tally.ended["node9"] = tally.ended.get("node9", ended("x", "node9", "failed").status)
    from rich.cells import cell_len

    rows = picture(Scene(phase="phase", tally=tally, maintenance=1), width=width)
    assert max(cell_len(row) for row in rows) <= width


def test_a_cut_line_ends_with_an_ellipsis() -> None:
    assert cut(line("abcdef", "ghijkl"), 8).text == "abcdefg…"
    assert cut(line("abcdef"), 6).text == "abcdef"


def test_a_lab_shows_its_pieces() -> None:
    observer_rows = scrolled(
        LabStep(time=0, name="node1", message="starting"),
        LabStep(time=2, name="node1", message="ready", seconds=2.5),
    )
    assert observer_rows == ["  node1: ready (2.5 s)"]


def test_a_terminal_that_went_away_does_not_stop_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, f"no terminal for {len(text)} letters")

    observer = TerminalObserver(Console(file=Gone(), force_terminal=True, width=80))
    for event in good_run():
        observer.on_event(event)
    observer.close()


@contextlib.contextmanager
def on_terminal(*arguments: str, **env: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    clean = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**clean, "TERM": "xterm-256color", **env},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_all(terminal: int, seconds: float = 20) -> str:
    end = time.monotonic() + seconds
    found = b""
    while time.monotonic() < end:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        found += piece
    return found.decode()


def without_steering(text: str) -> str:
    left = HARMLESS.sub("", text)
    assert "\x1b" not in left, repr(left)
    return left


def test_on_a_terminal_nothing_but_lines_and_colours_is_sent() -> None:
    with on_terminal("100", "well") as (process, terminal):
        text = read_all(terminal)
        assert process.wait(10) == 0
    assert "load plugin 3/77 中文" in text
    shown = without_steering(text)
    assert "deploy: done in 2.0 s, 100 changes on 100 hosts" in shown
    assert len(shown.splitlines()) < 200


def test_with_no_color_there_are_none() -> None:
    with on_terminal("3", "well", NO_COLOR="1") as (_, terminal):
        text = read_all(terminal)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", text)
    assert "deploy: done" in text


def test_an_exception_leaves_the_terminal_as_it_was() -> None:
    with on_terminal("3", "raise") as (process, terminal):
        text = read_all(terminal)
        assert process.wait(10) != 0
    without_steering(text)
    assert "\x1b[2KTraceback" in text  # the live part is gone before the traceback


def test_a_killed_run_leaves_no_mode_behind() -> None:
    with on_terminal("3", "hang") as (process, terminal):
        time.sleep(1.5)
        process.send_signal(signal.SIGKILL)
        text = read_all(terminal)
    without_steering(text)


def test_a_window_made_smaller_is_followed() -> None:
    with on_terminal("3", "well") as (process, terminal):
        time.sleep(0.7)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 30, 0, 0))
        text = read_all(terminal)
        assert process.wait(10) == 0
    tail = without_steering(text).split("load plugin 3/77")[-1]
    assert "deploy: done" in tail
