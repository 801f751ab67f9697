"""Jobs that an earlier run left behind, on this machine."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbops.engine.older import end_script


@pytest.fixture
def left_behind(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two jobs as the transport starts them: one that obeys, and one that hears no TERM and has
    a child that left its session."""
    runner = tmp_path / "run-R1" / "runner"
    runner.parent.mkdir()
    runner.write_text('trap "" TERM\n[ "$1" = mild ] || setsid sleep 60 &\nsleep 61\nsleep 62\n')
    begun = [
        subprocess.Popen(
            ["setsid", "/bin/sh", str(runner), word], env={**os.environ, "NBOPS_JOB": f"mark{word}"}
        )
        for word in ("mild", "wild")
    ]
    time.sleep(0.5)
    yield begun
    subprocess.run(["/bin/sh", "-c", end_script("R1")], check=False, capture_output=True)
    for process in begun:
        process.kill()
        process.wait()


def processes(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"NBOPS_JOB={mark}".encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_jobs_of_an_older_run_are_ended_with_all_that_they_began(
    left_behind: list[subprocess.Popen[bytes]],
) -> None:
    assert len(processes("markwild")) == 3
    done = subprocess.run(["/bin/sh", "-c", end_script("R1")], capture_output=True, check=True)
    assert done.stdout == b"2\n"
    assert processes("markwild") == processes("markmild") == []


def test_jobs_of_other_runs_go_on(left_behind: list[subprocess.Popen[bytes]]) -> None:
    done = subprocess.run(["/bin/sh", "-c", end_script("R2")], capture_output=True, check=True)
    assert done.stdout == b"0\n"
    assert processes("markmild")


def test_two_that_look_for_the_same_jobs_at_once_leave_each_other_alone() -> None:
    for _ in range(10):
        both = [
            subprocess.Popen(
                ["/bin/sh"],
                stdin=subprocess.PIPE,
                env={**os.environ, "NBOPS_JOB": f"looker{number}"},
            )
            for number in range(4)
        ]
        for process in both:
            assert process.stdin is not None
            process.stdin.write(end_script("R3").encode())
            process.stdin.close()
        assert [process.wait() for process in both] == [0] * 4
