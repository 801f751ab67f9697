"""The runtimes that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbops.nocobase.kinds import choose
from nbops.nocobase.runtimes.api import Runtime
from nbops.nocobase.runtimes.compose import Compose
from nbops.nocobase.runtimes.pm2 import Pm2

_BUILT: Mapping[str, Runtime] = {"compose": Compose(), "pm2": Pm2()}


def runtime(kind: str) -> Runtime:
    """The runtime of this kind. Raises RefusedError when there is none."""
    return choose("runtime.kind", kind, _BUILT)


def all_runtimes() -> Sequence[Runtime]:
    """Every kind of runtime that there is."""
    return tuple(_BUILT.values())
