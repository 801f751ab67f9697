"""What a host writes must never steer the terminal of the one who reads it."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.clean import clean, one_line

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")

pieces = st.one_of(
    st.text(),
    st.sampled_from(
        [
            "\x1b[2J",
            "\x1b]0;title\x07",
            "\x1b]8;;http://x\x1b\\",
            "\x1bP1;2q\x1b\\",
            "\x9b31m",
            "\x9d0;t\x9c",
            "\x1b(B",
            "\x1bc",
            "\x1b",
            "\u202e",
            "\r",
            "\x07",
        ]
    ),
)


@given(st.lists(pieces).map("".join))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    cleaned = clean(text)
    assert not CONTROLS.search(cleaned)
    assert all(
        unicodedata.bidirectional(one) not in {"LRE", "RLE", "LRO", "RLO", "PDF"}
        and unicodedata.bidirectional(one) not in {"LRI", "RLI", "FSI", "PDI"}
        for one in cleaned
    )
    cleaned.encode("utf-8")


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert clean(text) == text


@given(st.lists(pieces).map("".join))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("dirty", "cleaned"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0;2;0\x1b\\after", "after"),
        ("\x9b2Jafter", "after"),
        ("\x9d0;title\x9cafter", "after"),
        ("\x1b(Bcharset", "charset"),
        ("\x1bcreset", "reset"),
        ("a\tb\nc", "a\tb\nc"),
        ("dos\r\nline", "dos\nline"),
        ("10 %\r20 %\r30 %", "10 %\n20 %\n30 %"),
        ("ok\rFAILED", "ok\nFAILED"),
        ("file\u202egpj.exe", "filegpj.exe"),
        ("bell\x07 back\x08 nul\x00", "bell back nul"),
        ("next\x85line", "next\nline"),
        ("half \udcff", "half \ufffd"),
        ("中文 中文", "中文 中文"),
    ],
)
def test_each_kind_of_sequence_is_removed(dirty: str, cleaned: str) -> None:
    assert clean(dirty) == cleaned


def test_an_unfinished_sequence_swallows_no_further_line() -> None:
    assert clean("\x1b]0;never ends\nthe error") == "\nthe error"


def test_one_line_has_no_breaks_and_single_spaces() -> None:
    assert one_line(" a\n\n b\t\x1b[1mc ") == "a b c"
