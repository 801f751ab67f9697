"""The errors of nbops, and the exit code that follows from each.

    NbopsError            1    failed; what serves now is said
    ├── UsageError        2    wrong usage, inventory or runbook: nothing done
    ├── RefusedError      2    understood, and refused: nothing done
    ├── RolledBack        3    failed and rolled back, the old release serves
    ├── HostUnusable      4    unreachable, wrong key, wrong host key, sudo refused
    ├── LockedError       5    another run holds the cluster
    ├── StuckError        6    the way back failed too
    ├── Interrupted     130    can be resumed
    ├── ConnectionLost    1    a session broke while it was in use
    ├── DeadlineExceeded  1    a command was killed at its deadline
    ├── FenceRefused      1    a host granted a newer run: this one may not act there
    ├── ActionFailed      1    an action could not do its work on a host
    └── LabError          1    the rehearsal machines

Every error holds one or more problems; a problem names its cause, its place where it has
one, and the next step as a hint.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """A place in a file: path as the user gave it, line and column counted from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, where, and what to do about it."""

    message: str
    place: Place | None = None
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class NbopsError(Exception):
    """Any error that a user of nbops is told about."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str | Problem, *, place: Place | None = None, hint: str | None = None
    ) -> None:
        problem = message if isinstance(message, Problem) else Problem(message, place, hint)
        super().__init__(str(problem))
        self.problems: tuple[Problem, ...] = (problem,)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> NbopsError:
        """One error that tells all `problems` at once, in the order given.

        Raises ValueError when there is none.
        """
        found = tuple(problems)
        if not found:
            raise ValueError("an error needs at least one problem")
        error = cls(found[0])
        error.problems = found
        error.args = ("\n".join(str(problem) for problem in found),)
        return error


class UsageError(NbopsError):
    """Wrong arguments, a wrong inventory or a wrong runbook. Nothing was contacted."""

    exit_code = 2


class RefusedError(NbopsError):
    """A request that was understood and is refused, with the reason. Nothing was done."""

    exit_code = 2


class RolledBack(NbopsError):
    """The run failed and was rolled back; the old release serves."""

    exit_code = 3


class HostFault(StrEnum):
    """Why a host cannot be used."""

    UNREACHABLE = "unreachable"
    WRONG_KEY = "authentication failed"
    WRONG_HOST_KEY = "host key refused"
    SUDO_REFUSED = "sudo refused"
    WRONG_MACHINE = "another machine"


class HostUnusable(NbopsError):
    """A host that cannot be used at all, before anything was changed on it."""

    exit_code = 4

    def __init__(
        self,
        message: str | Problem,
        *,
        host: str = "",
        fault: HostFault = HostFault.UNREACHABLE,
        place: Place | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, place=place, hint=hint)
        self.host = host
        self.fault = fault


class LockedError(NbopsError):
    """Another run holds the cluster's lock."""

    exit_code = 5


class StuckError(NbopsError):
    """The run failed and so did the way back; the hint holds the exact next steps."""

    exit_code = 6


class Interrupted(NbopsError):
    """The user ended the run; it can be resumed."""

    exit_code = 130


class ConnectionLost(NbopsError):
    """A session broke in use. What the last command did there is not known yet."""


class JobLost(NbopsError):
    """A job began, and its machine restarted under it: what it did is not known."""


class DeadlineExceeded(NbopsError):
    """A command was not done at its deadline; its process group is dead."""


class FenceRefused(NbopsError):
    """The host knows a newer run of this cluster; this one may do nothing there any more."""


class ActionFailed(NbopsError):
    """An action could not do its work on a host."""


class LabError(NbopsError):
    """The rehearsal machines cannot be had, with what to do about it."""


@contextmanager
def understood(host: str, by: str) -> Iterator[None]:
    """Around the reading of what a host answered: an error that nbops did not foresee, as of an
    answer that no program gives, becomes ActionFailed, a failure of this host like any other."""
    try:
        yield
    except NbopsError:
        raise
    except Exception as fault:
        if isinstance(fault, OSError) and (local := local_fault(fault)):
            raise ActionFailed(f"on this computer: {local}") from fault
        raise ActionFailed(
            f"{host} gave an answer that `{by}` does not understand ({origin(fault)})",
            hint="look at what the host has and answers there; when it is sound, report this line",
        ) from fault


def local_fault(fault: OSError) -> str:
    """What is wrong with a file of this computer; empty when the error tells of no file."""
    if not isinstance(fault.filename, str | bytes) or not fault.strerror:
        return ""
    return f"{os.fsdecode(fault.filename)}: {fault.strerror}"


def origin(fault: BaseException) -> str:
    """The kind of an error that nbops did not foresee, and the line of code that it comes from;
    not its text, which may hold what nobody masked."""
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__} at {last.filename}:{last.lineno}"
