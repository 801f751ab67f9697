from __future__ import annotations

import copy
import json
import pickle

import pytest

from nbops.base.events import Note
from nbops.base.secret import MASK, Masker, Secret


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
