"""Documents that hosts and files hold, as dataclasses: every field of its declared type."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def typed(kind: type[T], document: Any) -> T:
    """The dataclass `kind` from plain data, as JSON has it.

    Raises ValueError that names each field that is unknown, missing or of another type; never
    a value, which may be secret.
    """
    if not isinstance(document, dict):
        raise ValueError("not an object")
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(document) - known):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    try:
        found: T = _reader(cast("Hashable", kind)).validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        told = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in faults)
        raise ValueError("; ".join(told)) from None
    return found


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
