"""Errors and recaps in words."""

from nbops.base.errors import Place, Problem, UsageError
from nbops.report.ending import problems, short_recap
from tests.report.report_events import over


def test_every_problem_is_told_with_its_place_and_its_hint() -> None:
    error = UsageError.of(
        [
            Problem("unknown key `verson`", Place("my.yml", 3, 5), "did you mean `version`?"),
            Problem("two\nlines", None, "first\nsecond"),
        ]
    )
    assert [one.text for one in problems(error)] == [
        "my.yml:3:5: error: unknown key `verson`",
        "  hint: did you mean `version`?",
        "error: two",
        "  lines",
        "  hint: first",
        "      second",
    ]


def test_hosts_of_the_same_counts_share_a_line_and_the_worst_come_last() -> None:
    recap = {"bad": {"ok": 1, "failed": 1}} | {f"n{one}": {"ok": 3} for one in range(1, 10)}
    assert [one.text for one in short_recap(over(recap))] == [
        "  n1, n2, n3, n4, n5 and 4 more: ok=3",
        "  bad: ok=1 failed=1",
    ]
