"""Small words of reports: durations, counts, names, blocks."""

import pytest

from nbops.report.lines import block, count, duration, line, names


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (-3, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3780, "1 h 3 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_counts_have_their_plural() -> None:
    assert [count(0, "host"), count(1, "host"), count(1200, "host")] == [
        "0 hosts",
        "1 host",
        "1,200 hosts",
    ]


def test_many_names_become_a_few_and_a_number() -> None:
    hosts = [f"n{number}" for number in range(1, 101)]
    assert names(hosts[:3]) == "n1, n2, n3"
    assert names(hosts, most=4) == "n1, n2, n3 and 97 more"


def test_a_line_never_holds_a_newline_or_an_escape() -> None:
    assert line("a\nb", "\x1b[1mc").text == "a bc"


def test_of_a_long_text_the_end_is_shown_and_the_rest_is_counted() -> None:
    shown = [one.text for one in block("a\nb\nc\nd\n", indent="| ", most=2)]
    assert shown == ["| (2 lines before; -vv shows all)", "| c", "| d"]


def test_no_text_gives_no_lines() -> None:
    assert block("  \n", indent="| ") == []
