from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbops.actions.words import compose, expanded, expanded_text, globbed, joined, quoted
from nbops.base.secret import Secret

ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


def in_shell(word: str, home: str = "/home/me", **env: str) -> str:
    """What a shell makes of a word."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s' {word}"],
        capture_output=True,
        env={"HOME": home, "PATH": "/usr/bin:/bin", **env},
        check=True,
    )
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("", ""),
        ("~", "/home/me"),
        ("~/a b", "/home/me/a b"),
        ("~root/x", "/root/x"),
        ("a~b", "a~b"),
        ("~no-such-user/x", "~no-such-user/x"),
        ("~'/x", "~'/x"),
        ("$HOME/x", "/home/me/x"),
        ("a${HOME}b", "a/home/meb"),
        ("$UNSET/x", "$UNSET/x"),
        ("${UNSET}", "${UNSET}"),
        ("$SPACED", "two  words * $HOME"),
        ("$1 $$ $? $@ ${1}", "$1 $$ $? $@ ${1}"),
        ("$(id) `id` $IFS $_ $PPID", "$(id) `id` $IFS $_ $PPID"),
        ("it's", "it's"),
        ("$EMPTY", ""),
        ("-n", "-n"),
    ],
)
def test_a_word_is_expanded_as_ansible_expands_it(text: str, result: str) -> None:
    assert in_shell(expanded(text), SPACED="two  words * $HOME", EMPTY="") == result


@settings(max_examples=60, deadline=None)
@given(ANY)
def test_any_text_is_quoted_unchanged(text: str) -> None:
    assert in_shell(str(quoted(text))) == text


@settings(max_examples=60, deadline=None)
@given(ANY)
def test_any_text_without_a_set_variable_is_expanded_unchanged(text: str) -> None:
    word = expanded("x" + text)
    assert in_shell(word) in {"x" + text, ("x" + text).replace("$HOME", "/home/me")}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("{}/a*", "a b"),
        ("{}/a ?", "a b"),
        ("{}/[a] [!c]", "a b"),
        ("{}/a b", "a b"),
        ("{}/it'*", "it's $(x)"),
        ("{}/it's $(x)", "it's $(x)"),
        ("{}/none*", None),
        ("{}/[", None),
    ],
)
def test_a_pattern_matches_and_the_rest_of_it_is_text(
    tmp_path: Path, pattern: str, found: str | None
) -> None:
    for name in ("a b", "it's $(x)"):
        (tmp_path / name).touch()
    word = globbed(pattern.format(tmp_path))
    result = in_shell(word)
    assert result == (str(tmp_path / found) if found else pattern.format(tmp_path))


def test_what_is_made_with_a_secret_is_a_secret() -> None:
    secret = Secret("a b")
    assert quoted(secret) == Secret("'a b'")
    assert expanded_text(secret) == Secret("'a b'")
    assert compose("x ", quoted(secret)) == Secret("x 'a b'")
    assert joined(["x", secret]) == Secret("x a b")
    assert compose("x", "y") == "xy"
