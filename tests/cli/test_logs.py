from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nbops.base.errors import UsageError
from nbops.base.secret import MASK, Masker
from nbops.cli.logs import Line, Lines, Printer, moment_of


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("2026-11-23T08:00:00Z", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23 08:00", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23T10:00:00+02:00", datetime(2026, 11, 23, 8, tzinfo=UTC)),
    ],
)
def test_since_is_how_long_ago_or_a_time(text: str, meant: timedelta | datetime) -> None:
    assert moment_of(text) == meant


@pytest.mark.parametrize("text", ["yesterday", "10", "10 m", "-5m", ""])
def test_any_other_since_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        moment_of(text)
    assert "--since 10m" in str(refused.value.problems[0].hint)


def test_lines_are_whole_however_the_output_is_cut() -> None:
    text = "erste Zeile äöü\nzweite\r\nrest".encode()
    for cut in range(len(text) + 1):
        lines = Lines(Masker())
        told = [*lines.take(text[:cut]), *lines.take(text[cut:]), *lines.take(b"", last=True)]
        assert told == ["erste Zeile äöü", "zweite", "rest"]


def test_no_control_sequence_of_an_app_comes_through() -> None:
    assert Lines(Masker()).take(b"\x1b[31mred\x1b[0m\x07 and\roverwritten\n") == [
        "red and",
        "overwritten",
    ]


def test_a_secret_in_a_log_is_masked_however_the_output_is_cut() -> None:
    masker = Masker()
    masker.learn("correct-horse-battery")
    text = b"DB=correct-\x1b[1mhorse\x1b[m-battery\ncorrect-horse-battery"
    for cut in range(len(text) + 1):
        lines = Lines(masker)
        told = [*lines.take(text[:cut]), *lines.take(text[cut:]), *lines.take(b"", last=True)]
        assert told == [f"DB={MASK}", MASK]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert Lines(Masker()).take(b"a\xffb\n") == ["a\ufffdb"]


def test_every_line_stands_after_its_app(capfd: pytest.CaptureFixture[str]) -> None:
    Printer(json=False, width=8).show([Line("node1", "node1", "one"), Line("n", "n:13001", "two")])
    assert capfd.readouterr().out == "node1    | one\nn:13001  | two\n"


def test_as_json_a_line_is_an_object(capfd: pytest.CaptureFixture[str]) -> None:
    Printer(json=True, width=0).show([Line("node1", "node1", 'say "x"')])
    out = capfd.readouterr().out
    assert '"kind": "log"' in out.replace('":"', '": "')
    assert out.count("\n") == 1
