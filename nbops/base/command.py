"""A remote effect as a value: what to run on a host, and how.

Commands are built by plain functions and carried out elsewhere, so that a test compares
text and a dry run is only another way of carrying them out.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from nbops.base.secret import MASK, Secret, reveal

DEFAULT_DEADLINE = 300.0
LONG_DEADLINE = 3600.0

Text = str | Secret


class Effect(StrEnum):
    """What a command leaves behind, and so how it is carried out.

    `NONE`: a probe; runs straight in the host's shell stream, may be run again at will.
    `JOB`: may change the host; runs as a job that outlives the connection and is found again.
    `FILE`: a job that puts staged files in place; the same guarantees as `JOB`.
    """

    NONE = "none"
    JOB = "job"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who acts on the host: the login user, or another through sudo.

    `user` is None for the login user. `password` answers sudo when it asks.
    """

    user: str | None = None
    method: str = "sudo"
    password: Secret | None = field(default=None, repr=False)

    @property
    def is_login(self) -> bool:
        """Whether no other identity than that of the login is asked for."""
        return self.user is None


LOGIN = Identity()


@dataclass(frozen=True, slots=True)
class Command:
    """What to run on a host.

    `script` is text for a POSIX `sh`; values are quoted into it with `quote` or handed over
    in `env`, never spliced. `deadline` is in seconds from the start; with `idle` it counts
    from the last output instead (dumps, restores: no sign of progress for so long).
    `step` names the effect across connections and restarts; it is required unless the
    effect is `NONE`. `shell` is the program that reads the script.
    """

    script: Text
    env: Mapping[str, Text] = field(default_factory=dict)
    stdin: bytes | None = field(default=None, repr=False)
    cwd: str | None = None
    effect: Effect = Effect.NONE
    deadline: float = DEFAULT_DEADLINE
    idle: bool = False
    step: str = ""
    identity: Identity = LOGIN
    shell: str = "/bin/sh"

    def __post_init__(self) -> None:
        if self.effect is not Effect.NONE and not self.step:
            raise ValueError("a command with an effect needs a step id")
        if self.deadline <= 0:
            raise ValueError("a deadline is longer than nothing")

    def text(self) -> str:
        """The script with its secrets, for the host alone."""
        return reveal(self.script)

    def masked(self) -> str:
        """The script as people may see it."""
        return MASK if isinstance(self.script, Secret) else self.script


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command: exit status (128+n for signal n), output, seconds it took."""

    status: int
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the status is 0."""
        return self.status == 0

    @property
    def out(self) -> str:
        """Standard output as text; bytes that are not UTF-8 become U+FFFD."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def err(self) -> str:
        """Standard error as text; bytes that are not UTF-8 become U+FFFD."""
        return self.stderr.decode("utf-8", "replace")


def quote(value: str) -> str:
    """`value` as one word of a POSIX shell, whatever it holds."""
    return shlex.quote(value)


def join(argv: Sequence[str]) -> str:
    """A list of arguments as a shell line that means exactly these arguments."""
    return shlex.join(argv)
