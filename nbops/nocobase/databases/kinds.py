"""The kinds of database that there are."""

from __future__ import annotations

from collections.abc import Mapping

from nbops.nocobase.databases.api import Database
from nbops.nocobase.databases.postgresql import Postgresql
from nbops.nocobase.kinds import choose

_BUILT: Mapping[str, Database] = {"postgres": Postgresql()}


def database(kind: str) -> Database:
    """The database of this kind. Raises RefusedError when there is none."""
    return choose("database.kind", kind, _BUILT)
