"""Events as JSON lines: always valid, always one line, whatever they hold."""

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nbops.base.events import EVENT_FORMAT, Status
from nbops.base.secret import MASK, Secret
from nbops.report.jsonl import JsonObserver, as_line, plain_data
from nbops.report.replay import replay
from tests.report.report_events import ended, good_run, maintenance, over, phase, started


def lines_of(*events: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    observer = JsonObserver(stream)
    for event in events:
        observer.on_event(event)
    observer.close()
    return [json.loads(row) for row in stream.getvalue().splitlines()]


def test_each_event_is_one_object_with_format_kind_and_fields() -> None:
    assert lines_of(started()) == [
        {
            "format": EVENT_FORMAT,
            "kind": "run_started",
            "time": 0,
            "run": "R1",
            "command": "deploy",
            "cluster": "demo",
            "hosts": ["node1", "node2", "node3"],
            "check": False,
        }
    ]


def test_what_was_written_can_be_read_back() -> None:
    events = good_run()
    again = list(replay(lines_of(*events)))
    assert [type(one) for one in again] == [type(one) for one in events]
    assert lines_of(*again) == lines_of(*events)


def test_the_end_of_a_run_bears_the_503_time_and_its_parts() -> None:
    events = (
        maintenance("lb", on=True, time=2),
        phase("stop", time=3),
        phase("backup", time=4.5),
        maintenance("lb", on=False, time=10),
        over({}, seconds=12),
    )
    (*_, last) = lines_of(phase("drain", time=1), *events)
    parts = {"drain": 1, "stop": 1.5, "backup": 5.5}
    assert last["downtime"] == {"seconds": 8, "stands": False, "parts": parts}
    (*_, last) = lines_of(phase("drain", time=1), *events[:1], over({}, seconds=12))
    assert last["downtime"] == {"seconds": 10, "stands": True, "parts": {"drain": 10}}


def test_the_end_of_a_run_without_a_503_tells_of_none() -> None:
    assert "downtime" not in lines_of(*good_run())[-1]


def test_kinds_and_fields_of_a_newer_version_are_left_out() -> None:
    newer = {"kind": "telepathy", "time": 1}
    note = {"kind": "note", "time": 1, "level": "info", "message": "m", "mood": "good"}
    (only,) = replay([newer, note])
    assert only.kind == "note"


@dataclass
class Thing:
    where: Path


class Angry:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_values_that_json_does_not_know_are_written_all_the_same() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert plain_data(
        {
            1: b"\xff",
            None: {2, 1},
            Status.OK: Status.OK,
            "thing": Thing(Path("/x")),
            "moment": moment,
            "nan": float("nan"),
            "infinite": float("inf"),
            "secret": Secret("hunter22"),
            "angry": Angry(),
            "tuple": (1, True, None),
        }
    ) == {
        "1": "\ufffd",
        "None": [1, 2],
        "ok": "ok",
        "thing": {"where": "/x"},
        "moment": "2026-01-02T00:00:00+00:00",
        "nan": "nan",
        "infinite": "inf",
        "secret": MASK,
        "angry": "<Angry>",
        "tuple": [1, True, None],
    }


def test_data_that_contains_itself_comes_to_an_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert as_line({"loop": loop})


@given(st.dictionaries(st.text(), st.text() | st.binary() | st.floats() | st.none()))
def test_a_line_is_ascii_and_has_no_break(data: dict[str, Any]) -> None:
    line = as_line(data)
    assert line.isascii()
    assert line.isprintable()
    json.loads(line)


def test_a_result_is_given_in_full() -> None:
    (line,) = lines_of(ended("Run", "node1", "failed", result={"stdout": "a\x1b[1m\n", "rc": 2}))
    assert line["status"] == "failed"
    assert line["result"] == {"stdout": "a\x1b[1m\n", "rc": 2}
