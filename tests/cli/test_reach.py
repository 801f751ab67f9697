"""Commands that ask hosts without a runbook: where they say what."""

from pathlib import Path

import pytest

from nbops.base.events import Note
from nbops.cli.options import Output, Target
from nbops.cli.reach import reach


@pytest.mark.parametrize("as_json", [False, True])
def test_what_sessions_tell_meanwhile_is_no_part_of_the_answer(
    local: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    with reach(Target(inventory=local), Output(json=as_json)) as reached:
        reached.bus(Note(level="info", message="the key of `here` is new"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "the key of `here` is new" in err


def test_what_is_told_in_events_is_the_answer(
    local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with reach(Target(inventory=local), Output(json=True), events=True) as reached:
        reached.bus(Note(level="info", message="the key of `here` is new"))
    assert '"message":"the key of `here` is new"' in capsys.readouterr().out.replace('": "', '":"')
