from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from nbops.base.typed import typed


@dataclass(frozen=True)
class Part:
    file: str
    size: int = 0


@dataclass(frozen=True)
class Whole:
    name: str
    parent: int | None
    parts: tuple[Part, ...]
    files: Mapping[str, Mapping[str, str]]


WHOLE = Whole("a", None, (Part("x", 3), Part("y")), {"node1": {"/a": "word"}})


def test_what_was_written_as_json_is_read_as_it_was() -> None:
    assert typed(Whole, json.loads(json.dumps(asdict(WHOLE)))) == WHOLE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 5}, "name: "),
        ({"parent": "one"}, "parent: "),
        ({"parent": True}, "parent: "),
        ({"parts": "x"}, "parts: "),
        ({"parts": [{"file": "x", "size": "3"}]}, "parts.0.size: "),
        ({"parts": [{"size": 3}]}, "parts.0.file: "),
        ({"files": {"node1": ["secret"]}}, "files.node1: "),
        ({"more": 1}, "unknown: more"),
        ({"name": "\udcff"}, "surrogate"),
    ],
)
def test_a_field_that_is_not_as_declared_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        typed(Whole, asdict(WHOLE) | change)


def test_a_value_that_may_be_secret_is_not_told() -> None:
    with pytest.raises(ValueError, match="files") as told:
        typed(Whole, asdict(WHOLE) | {"files": {"node1": {"/a": {"b": "s3cret"}}}})
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("document", [None, [], "name", 5, {}])
def test_what_is_no_such_document_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        typed(Whole, document)
