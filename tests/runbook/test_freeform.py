"""Arguments written as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.runbook.freeform import UnbalancedError, command_text, pairs, words


def test_words_are_split_outside_quotes_and_templates() -> None:
    text = "a 'b c' d=\"e f\" {{ g | default('x y') }}h {% if x %}"
    found = [word.text for word in words(text)]
    assert found == ["a", "'b c'", 'd="e f"', "{{ g | default('x y') }}h", "{% if x %}"]


@pytest.mark.parametrize("text", ["a 'b", 'x="', "{{ a", "{% b }}"])
def test_what_is_not_closed_is_told(text: str) -> None:
    with pytest.raises(UnbalancedError):
        words(text)


@given(st.text())
def test_a_command_without_options_stays_as_it_is(text: str) -> None:
    if not any(f"{name}=" in text for name in ("creates", "removes", "chdir", "executable")):
        assert command_text(text)[0] == text or "stdin" in text or "strip" in text


@given(st.text(alphabet="ab =\"'{}%\\\n"))
def test_splitting_never_loses_a_sign(text: str) -> None:
    try:
        found = words(text)
    except UnbalancedError:
        return
    assert "".join(word.text for word in found) == "".join(
        text[word.start : word.end] for word in found
    )
    rest = list(text)
    for word in found:
        rest[word.start : word.end] = " " * (word.end - word.start)
    assert "".join(rest).isspace() or not rest


def test_options_are_taken_out_of_a_command() -> None:
    text = "tar -x  creates=/a\nremoves='/b c' next"
    assert command_text(text) == ("tar -x  next", {"creates": "/a", "removes": "/b c"})


def test_only_pairs_are_pairs() -> None:
    assert pairs("a=1 b='x y'") == {"a": "1", "b": "x y"}
    assert pairs("a=1 b") is None
    assert pairs("") is None
    assert pairs(r"m=a\tb") == {"m": "a\tb"}
