"""Which kind of a part is meant; kinds that are not there are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from nbops.base.errors import RefusedError

K = TypeVar("K")


def choose(setting: str, kind: str, built: Mapping[str, K]) -> K:
    """What `built` holds for `kind`; `setting` is the key of the inventory that names it.

    Raises RefusedError when this nbops has no such kind.
    """
    if kind in built:
        return built[kind]
    raise RefusedError(
        f"`{setting}: {kind}` is not built into this nbops yet",
        hint=f"for `{setting}` it knows: {', '.join(sorted(built))}",
    )
