from __future__ import annotations

import base64
import copy
import json
import pickle
import shlex
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.clean import clean, seen
from nbops.base.events import Note
from nbops.base.secret import MASK, Masker, Secret, beginning, ending


def test_a_secret_shows_as_asterisks_however_it_is_printed() -> None:
    secret = Secret("hunter2hunter2")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{secret:>20}", f"{[secret]}"]
    assert all("hunter2" not in one for one in shown)
    assert "%s" % secret == MASK  # noqa: UP031 - this road too


def test_a_secret_does_not_leave_the_process() -> None:
    secret = Secret("hunter2hunter2")
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert copy.deepcopy({"a": secret})["a"] is secret


def test_the_masker_finds_a_secret_in_text_and_data() -> None:
    masker = Masker()
    masker.learn(Secret("s3cret-value"))
    assert masker.text("password=s3cret-value;") == f"password={MASK};"
    data = {"out": ["x s3cret-value y"], "raw": b"s3cret-value", "own": Secret("other")}
    assert "s3cret" not in repr(masker.data(data))
    note = masker.event(Note(level="info", message="s3cret-value is in here"))
    assert note.message == f"{MASK} is in here"


def test_a_number_that_is_a_secret_is_masked_and_a_truth_is_none() -> None:
    masker = Masker()
    masker.learn("12345678")
    masker.learn("True")
    data = {"pin": 12345678, "port": 123456789, "changed": True}
    assert masker.data(data) == {"pin": MASK, "port": 123456789, "changed": True}


def test_the_longest_secret_is_masked_first() -> None:
    masker = Masker()
    masker.learn("abcd")
    masker.learn("abcdefgh")
    assert masker.text("abcdefgh") == MASK


def test_each_line_of_a_secret_is_masked() -> None:
    masker = Masker()
    masker.learn("-----BEGIN-----\nline-of-key\n-----END-----")
    assert "line-of-key" not in masker.text("got: line-of-key")


def test_a_secret_of_three_letters_is_masked_by_its_type_alone() -> None:
    masker = Masker()
    masker.learn("abc")
    assert masker.text("abc") == "abc"


AWKWARD = "pa'ss\"wo$rd&50% \\ü#"


@pytest.mark.parametrize(
    "written",
    [
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps({"log": json.dumps({"msg": text})}),
        repr,
        shlex.quote,
        lambda text: quote(text, safe=""),
        lambda text: f"redis://:{quote(text, safe='')}@cache:6379/0",
        lambda text: text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$"),
        lambda text: text.replace("'", "''"),
    ],
)
def test_a_secret_is_masked_in_every_way_of_writing_it(written: Callable[[str], str]) -> None:
    masker = Masker()
    masker.learn(AWKWARD)
    shown = masker.text(f"before {written(AWKWARD)} after")
    assert "wo" not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert MASK in shown


@pytest.mark.parametrize(
    "printed",
    [
        "correct\x1b[01;31m\x1b[K-horse\x1b[m\x1b[K-battery",
        "correct-\x9b1mhorse-battery",
        "correct\x1b]8;;http://x\x1b\\-horse-battery",
        "correct-\x00horse\x07-battery",
        "correct\r-horse\r\v-battery",
        "correct-ho\u200brse-\u202ebat\xadtery\ufe0f",
    ],
)
def test_a_secret_is_masked_however_it_is_coloured_or_broken_up(printed: str) -> None:
    masker = Masker()
    masker.learn("correct-horse-battery")
    text = f"\x1b[1mDB_PASSWORD\x1b[m={printed}; done\nnext"
    assert clean(masker.text(text)).startswith(f"DB_PASSWORD={MASK}")
    assert seen(masker.text(text)).endswith("; done\nnext")


def test_text_without_a_secret_keeps_its_colours_and_returns() -> None:
    masker = Masker()
    masker.learn("correct-horse-battery")
    text = "\x1b[32mok\x1b[m: correct-horse\r10 %\r20 %\r\n"
    assert masker.text(text) == text


@pytest.mark.parametrize("most", range(20, 60))
def test_a_secret_that_a_cut_goes_through_is_masked(most: int) -> None:
    masker = Masker()
    masker.learn("correct-horse-battery")
    text = "DB_PASSWORD=correct-horse-battery is wrong, says the database"
    shown = [masker.text(beginning(text, most)), masker.text(ending(text, most))]
    assert not [one for one in shown if "corr" in one or "tery" in one]
    assert len(beginning(text, most)) == len(ending(text, most)) == most
    assert shown[0].startswith("DB_PASSWORD=")
    assert shown[1].endswith("database")


@pytest.mark.parametrize("most", range(25, 60))
def test_a_cut_through_a_coloured_secret_is_seen_too(most: int) -> None:
    masker = Masker()
    masker.learn("correct-horse-battery")
    text = "a long text before it, correct-\x1b[01;31mhorse\x1b[m-battery"
    assert "corr" not in clean(masker.text(beginning(text, most)))
    assert "tery" not in clean(masker.text(ending(text, most)))


def test_text_that_is_short_enough_is_not_cut() -> None:
    assert beginning("four", 4) == ending("four", 4) == "four"


@given(st.binary(max_size=7), st.binary(max_size=7))
def test_a_secret_in_base64_is_masked_wherever_it_begins(before: bytes, after: bytes) -> None:
    """At most the letters that it shares with its neighbours are left."""
    masker, secret = Masker(), "correct horse battery"
    masker.learn(secret)
    shown = masker.text(base64.b64encode(before + secret.encode() + after).decode())
    assert MASK in shown
    middle = base64.b64encode(b"x" * (len(before) % 3) + secret.encode()).decode()[4:-4]
    assert middle not in shown


@given(st.text(min_size=4), st.text(max_size=30))
def test_no_text_keeps_a_secret(secret: str, around: str) -> None:
    masker = Masker()
    masker.learn(secret)
    masked = masker.text(f"{around}{secret}{around}")
    assert secret not in masked or secret in MASK * 3


def test_text_with_many_cuts_holds_nobody_up() -> None:
    masker = Masker()
    for number in range(12):
        masker.learn(Secret(f"correct horse battery {number}"))
    began = time.monotonic()
    masker.text("[…]" * 100_000)
    masker.text("[…]abcdefgh corr" * 20_000)
    assert time.monotonic() - began < 10


def test_without_what_is_written_openly_the_other_secrets_are_masked_still() -> None:
    masker = Masker()
    for secret in ("nocobase", "nocobase-hunter2"):
        masker.learn(secret)
    kept = masker.without(lambda word: word == "nocobase")
    told = {"nocobase_release": ["nocobase-hunter2", Secret("nocobase")]}
    assert kept.data(told) == {"nocobase_release": [MASK, MASK]}
    assert masker.data(told) == {f"{MASK}_release": [MASK, MASK]}
