"""What a host, a file or a name says cannot steer the terminal, in any view."""

from __future__ import annotations

import io
import json
import re

import pytest

from nbops.base.errors import ActionFailed
from nbops.base.events import (
    Event,
    Note,
    PhaseStarted,
    PlayStarted,
    RunEnded,
    RunStarted,
    Status,
    StepEnded,
    StepProgress,
    TaskStarted,
)
from nbops.cli import show
from nbops.report.jsonl import JsonObserver
from nbops.report.plain import PlainObserver

EVIL = "x\x1b]0;title\x07\x1b[2J\x9b31m\u202e\u2066\rover\x00\x08\x7f"
_BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

EVENTS: list[Event] = [
    RunStarted(run=EVIL, command=EVIL, cluster=EVIL, hosts=[EVIL]),
    PhaseStarted(phase=EVIL),
    PlayStarted(play=EVIL, hosts=[EVIL]),
    TaskStarted(step="1", task=EVIL, action="command", hosts=[EVIL, "b"]),
    StepProgress(step="1", task=EVIL, host=EVIL, message=EVIL),
    StepEnded(
        step="1",
        task=EVIL,
        action="command",
        host=EVIL,
        status=Status.FAILED,
        seconds=1,
        item=EVIL,
        message=EVIL,
        result={"stdout": EVIL, "stderr": f"{EVIL}\n{EVIL}", "rc": 1, "cmd": EVIL},
        diff=f"--- {EVIL}\n+++ {EVIL}\n@@ -1 +1 @@\n-{EVIL}\n+{EVIL}\n",
        delegate=EVIL,
    ),
    Note(level="warning", message=EVIL, hint=EVIL, host=EVIL),
    RunEnded(run=EVIL, exit_code=1, seconds=1, recap={EVIL: {"failed": 1}}, message=EVIL),
]


@pytest.mark.parametrize("verbosity", [0, 1, 2])
def test_nothing_steers_the_terminal_in_plain_lines(verbosity: int) -> None:
    out = io.StringIO()
    observer = PlainObserver(out, verbosity=verbosity)
    for event in EVENTS:
        observer.on_event(event)
    observer.close()
    assert not _BAD.search(out.getvalue())
    assert "over" in out.getvalue()


def test_in_json_it_is_escaped_and_kept() -> None:
    out = io.StringIO()
    observer = JsonObserver(out)
    for event in EVENTS:
        observer.on_event(event)
    assert not _BAD.search(out.getvalue())
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0]["run"] == EVIL


def test_errors_are_cleaned_with_their_hints(capsys: pytest.CaptureFixture[str]) -> None:
    show.error(ActionFailed(EVIL, hint=EVIL), as_json=False)
    show.table((EVIL,), [(EVIL,)])
    told = capsys.readouterr()
    assert not _BAD.search(told.out + told.err)
