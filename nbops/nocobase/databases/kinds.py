"""The kinds of database that there are."""

from __future__ import annotations

from collections.abc import Mapping

from nbops.nocobase.databases.api import Database
from nbops.nocobase.databases.copies import Copies
from nbops.nocobase.databases.mariadb import Mariadb
from nbops.nocobase.databases.mariadb_copies import MariadbCopies
from nbops.nocobase.databases.postgresql import Postgresql
from nbops.nocobase.databases.postgresql_copies import PostgresqlCopies
from nbops.nocobase.kinds import choose

_BUILT: Mapping[str, Database] = {"postgres": Postgresql(), "mariadb": Mariadb()}
_COPIES: Mapping[str, Copies] = {
    "postgres": PostgresqlCopies(),
    "mariadb": MariadbCopies("mariadb"),
    "mysql": MariadbCopies("mysql"),
}


def database(kind: str) -> Database:
    """The database of this kind, run by nbops. Raises RefusedError when there is none."""
    return choose("database.kind", kind, _BUILT)


def copies(kind: str) -> Copies:
    """The backups of a database of this kind, whoever runs it. Raises RefusedError."""
    return choose("database.kind", kind, _COPIES)
