"""The runtimes that there are."""

from __future__ import annotations

from collections.abc import Mapping

from nbops.nocobase.kinds import choose
from nbops.nocobase.runtimes.api import Runtime
from nbops.nocobase.runtimes.compose import Compose

_BUILT: Mapping[str, Runtime] = {"compose": Compose()}


def runtime(kind: str) -> Runtime:
    """The runtime of this kind. Raises RefusedError when there is none."""
    return choose("runtime.kind", kind, _BUILT)
