"""`omit`: the value of an argument that is to be left out, as in Ansible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final


@final
class Omit:
    """There is one: `OMIT`. It is found with `is`."""

    def __repr__(self) -> str:
        return "omit"


OMIT = Omit()


def without_omitted(value: Any) -> Any:
    """`value` with every key and item that is `OMIT` left out, at any depth."""
    if isinstance(value, Mapping):
        return {key: without_omitted(item) for key, item in value.items() if item is not OMIT}
    if isinstance(value, list | tuple):
        return [without_omitted(item) for item in value if item is not OMIT]
    return value
