from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.errors import Place, UsageError
from nbops.base.yamlpos import load_text, nearest, place_of


def test_values_know_their_places() -> None:
    data = load_text("a: 1\nb:\n  - x: 2\n    y: three\n", "f.yml")
    assert data == {"a": 1, "b": [{"x": 2, "y": "three"}]}
    assert place_of(data, ("b", 0, "y")) == Place("f.yml", 4, 8)
    assert place_of(data, ("b", 0, "y"), key=True) == Place("f.yml", 4, 5)
    assert place_of(data, ("b", 0, "gone")) == Place("f.yml", 3, 5)


@pytest.mark.parametrize(
    ("text", "word", "line"),
    [
        ("a: 1\na: 2\n", "second time", 2),
        ("a: [1\n", "not valid YAML", 2),
        ("a: !vault x\n", "!vault", 1),
        ("a: &a [*a]\n", "contains itself", 1),
        ("---\na: 1\n---\nb: 2\n", "not valid YAML", 3),
        ("k: !!python/object:os.system x\n", "refused", 1),
        ("d: 2001-99-99\n", "month", 1),
        ("? [a, b]\n: 1\n", "plain value", 1),
        ("<<: 3\n", "<<", 1),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, word: str, line: int) -> None:
    with pytest.raises(UsageError) as caught:
        load_text(text, "f.yml")
    problem = caught.value.problems[0]
    assert word in problem.message
    assert problem.place is not None
    assert problem.place.line == line


def test_every_duplicate_is_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        load_text("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n", "f.yml")
    assert len(caught.value.problems) == 2


def test_anchors_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(UsageError, match="anchors"):
        load_text("\n".join(lines), "f.yml")


def test_merge_keys_keep_the_written_value() -> None:
    data = load_text("x: &x {a: 1, b: 1}\ny: {<<: *x, b: 2}\n", "f.yml")
    assert data["y"] == {"a": 1, "b": 2}


@given(st.text())
def test_no_text_ends_in_anything_but_data_or_a_usage_error(text: str) -> None:
    try:
        load_text(text, "f.yml")
    except UsageError as error:
        assert error.problems


def test_the_nearest_word() -> None:
    assert nearest("databse", ["database", "redis"]) == "database"
    assert nearest("zzz", ["database"]) is None


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 20_000, "? " * 20_000])
def test_nesting_without_end_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="nested too deeply"):
        load_text(text, "x.yml")


def test_many_values_side_by_side_are_not_deep() -> None:
    assert len(load_text("[" + "{a: [1]}, " * 5000 + "]", "x.yml")) == 5000
