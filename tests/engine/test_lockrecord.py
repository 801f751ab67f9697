from __future__ import annotations

import pytest

from nbops.base.errors import ActionFailed
from nbops.engine.lockrecord import Holder, State, parse_record

HOLDER = Holder("r2", "ann@desk", "upgrade", "2026-11-23T08:47:33Z", older=("r1",))


def test_a_record_is_read_with_its_holder() -> None:
    record = parse_record("node1", f"7 held 12\n{HOLDER.line()}\n")
    assert (record.number, record.state, record.age) == (7, State.HELD, 12)
    assert (record.run, record.owner, record.older) == ("r2", "ann@desk", ("r1",))


def test_a_host_that_was_never_locked_has_no_holder() -> None:
    assert not parse_record("node1", "0 free 0\n").held


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7 held",
        "7 mine 12",
        "x held 12",
        "7 held x",
        "7 held 12\n{",
        "7 held 12\n[]",
        "7 held 12\n5",
        '7 held 12\n{"run": "r2"}',
        '7 held 12\n{"run": "r2", "owner": 5, "command": "", "since": ""}',
        '7 held 12\n{"run": "r2", "owner": "", "command": "", "since": "", "older": [1]}',
        '7 held 12\n{"run": "r2", "owner": "", "command": "", "since": "", "older": "r1"}',
        '7 held 12\n{"run": "r2", "owner": "", "command": "", "since": "", "host": "x"}',
    ],
)
def test_what_is_no_record_is_refused_and_the_place_named(text: str) -> None:
    with pytest.raises(ActionFailed, match="node1: the lock's record cannot be read") as told:
        parse_record("node1", text)
    assert "/var/lib/nbops" in str(told.value.problems[0].hint)
