from __future__ import annotations

import datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from nbops.actions.values import AnyText, Content, Mode, Path, Plain, PlainList
from nbops.base.secret import Secret


@pytest.mark.parametrize(
    ("kind", "given", "result"),
    [
        (AnyText, 5, "5"),
        (AnyText, True, "True"),
        (AnyText, 1.5, "1.5"),
        (AnyText, datetime.date(2026, 1, 2), "2026-01-02"),
        (AnyText, Secret("x"), Secret("x")),
        (Plain, 0, "0"),
        (Content, {"a": [1, "ü"]}, '{"a": [1, "\\u00fc"]}'),
        (Content, [1], "[1]"),
        (Content, "x\0y", "x\0y"),
        (Mode, 420, "0644"),
        (Mode, 0, "0000"),
        (Mode, "0644", "0644"),
        (Mode, "u+x", "u+x"),
        (PlainList, "a, b,,c", ["a", "b", "c"]),
        (PlainList, ["a, b"], ["a, b"]),
        (PlainList, 7, ["7"]),
        (PlainList, "", []),
    ],
)
def test_values_are_taken_as_ansible_takes_them(kind: Any, given: Any, result: Any) -> None:
    assert TypeAdapter(kind, config={"arbitrary_types_allowed": True}).validate_python(
        given
    ) == result  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (AnyText, "a\0b"),
        (AnyText, Secret("a\0b")),
        (AnyText, ["x"]),
        (AnyText, None),
        (Plain, Secret("x")),
        (Path, ""),
        (Path, Secret("/x")),
        (Mode, True),
        (Mode, Secret("0644")),
        (Mode, 9999),
        (Mode, -1),
    ],
)
def test_what_makes_no_sense_is_refused(kind: Any, given: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind, config={"arbitrary_types_allowed": True}).validate_python(given)
