"""`pause` asks on a terminal: the live view steps aside, what was typed before is no answer."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.cli_told import Nbops

Write = Callable[..., Path]

ASK = """\
- name: Ask
  pause: {prompt: "Shall we go on?"}
  register: answer
- name: Tell
  debug: {msg: "answer <{{ answer.user_input }}>"}
"""


class Terminal:
    """A terminal with `nbops run` on it."""

    def __init__(self, ours: int, process: subprocess.Popen[bytes]) -> None:
        self._ours, self._process = ours, process
        self.seen = ""

    def until(self, text: str, seconds: float = 30) -> None:
        """Read until `text` was shown."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            self.seen += os.read(self._ours, 4096).decode()

    def type(self, text: str) -> None:
        """Type it."""
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Read the rest; gives the exit code."""
        with contextlib.suppress(OSError):
            while piece := os.read(self._ours, 4096):
                self.seen += piece.decode()
        return self._process.wait(30)


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nbops", "run", "book.yml", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color"},
        start_new_session=True,
        preexec_fn=lambda: _take(theirs),  # noqa: PLW1509 - nothing else runs in this test
    )
    os.close(theirs)
    try:
        yield Terminal(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _take(terminal: int) -> None:
    """Make it the terminal of this process: then Ctrl-C is a signal."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


@pytest.fixture(autouse=True)
def _book(local: Path, runbook: Write) -> None:
    local.write_text("all: {hosts: {here: {ansible_connection: local}}}\n")
    runbook(ASK)


def test_the_answer_is_what_is_typed_after_the_question() -> None:
    with running() as terminal:
        terminal.type("too early\r")
        terminal.until("Shall we go on?")
        time.sleep(0.5)
        before = len(terminal.seen)
        time.sleep(0.7)
        terminal.type("yes\r")
        assert terminal.end() == 0
        assert "answer <yes>" in terminal.seen
        assert terminal.seen[before:].startswith("yes\r\n")


def test_what_is_typed_can_be_hidden(runbook: Write) -> None:
    runbook(ASK.replace('on?"}', 'on?", echo: false}').replace("debug", "no_log: true\n  debug"))
    with running() as terminal:
        terminal.until("Shall we go on?")
        time.sleep(0.5)
        terminal.type("hush\r")
        assert terminal.end() == 0
        assert "hush" not in terminal.seen


def test_ctrl_c_ends_the_question_at_once() -> None:
    with running() as terminal:
        terminal.until("Shall we go on?")
        time.sleep(0.5)
        began = time.monotonic()
        terminal.type("\x03")
        assert terminal.end() == 130
        assert time.monotonic() - began < 10


def test_yes_answers_it() -> None:
    with running("--yes") as terminal:
        assert terminal.end() == 0
        assert "nobody was asked: Shall we go on?" in terminal.seen
        assert "answer <>" in terminal.seen


def test_nobody_is_asked_without_a_terminal(nbops: Nbops) -> None:
    told = nbops("run", "book.yml", "--plain")
    assert told.code == 0
    assert "answer <>" in told.out
