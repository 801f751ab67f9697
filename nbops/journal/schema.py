"""The tables of the journal and the number of their format."""

from __future__ import annotations

FORMAT = 2

_SINCE_1 = """
CREATE TABLE runs (
    run         TEXT PRIMARY KEY,
    command     TEXT NOT NULL,
    cluster     TEXT NOT NULL,
    operator    TEXT NOT NULL,
    inventory   TEXT NOT NULL,
    runbook     TEXT NOT NULL,
    plan_hash   TEXT NOT NULL,
    plan        TEXT NOT NULL,
    number      INTEGER,
    started_at  REAL NOT NULL,
    ended_at    REAL,
    exit_code   INTEGER,
    message     TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE effects (
    run         TEXT NOT NULL REFERENCES runs,
    step        TEXT NOT NULL,
    host        TEXT NOT NULL,
    action      TEXT NOT NULL,
    effect      TEXT NOT NULL,
    intended_at REAL NOT NULL,
    ended_at    REAL,
    status      INTEGER,
    PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE results (
    run         TEXT NOT NULL REFERENCES runs,
    path        TEXT NOT NULL,
    host        TEXT NOT NULL,
    item        INTEGER NOT NULL,
    pass        INTEGER NOT NULL,
    status      TEXT NOT NULL,
    result      TEXT NOT NULL,
    ended_at    REAL NOT NULL,
    PRIMARY KEY (run, path, host, item, pass)
) STRICT, WITHOUT ROWID;

CREATE TABLE compensations (
    run         TEXT NOT NULL REFERENCES runs,
    number      INTEGER NOT NULL,
    path        TEXT NOT NULL,
    host        TEXT NOT NULL,
    variables   TEXT NOT NULL,
    noted_at    REAL NOT NULL,
    done_at     REAL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    run         TEXT NOT NULL REFERENCES runs,
    number      INTEGER NOT NULL,
    event       TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID
"""

_SINCE_2 = """
CREATE TABLE outcomes (
    run         TEXT NOT NULL REFERENCES runs,
    path        TEXT NOT NULL,
    host        TEXT NOT NULL,
    pass        INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    PRIMARY KEY (run, path, host, pass)
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
    run         TEXT NOT NULL REFERENCES runs,
    name        TEXT NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID
"""

# A run that an older nbops left unfinished has no outcomes, and is not to be resumed.
_CLOSE_OLDER = """
UPDATE runs SET ended_at=started_at, exit_code=130, message='begun by an older nbops'
WHERE ended_at IS NULL
"""

# What brings a journal from each format (0: none) to the next.
STEPS: tuple[tuple[str, ...], ...] = ((_SINCE_1,), (_SINCE_2, _CLOSE_OLDER))
