"""What goes wrong where secrets are known is told without them."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import typer

from nbops.base.errors import NbopsError, Problem, UsageError, local_fault, origin
from nbops.base.secret import Masker


class MaskedBug(Exception):
    """An error that nbops did not foresee: where it was, and its whole traceback as text, with
    every known secret masked."""

    def __init__(self, where: str, trace: str) -> None:
        super().__init__(where)
        self.where = where
        self.trace = trace


@contextmanager
def masked(masker: Masker) -> Iterator[None]:
    """Errors that leave it hold no secret that `masker` knows: what they tell may have come
    from a host. Raises MaskedBug in place of an unforeseen one."""
    try:
        yield
    except NbopsError as error:
        conceal(error, masker)
        raise
    except (typer.Exit, typer.Abort, typer.TyperException):
        raise
    except OSError as fault:
        if local := local_fault(fault):
            raise UsageError(masker.text(local)) from None
        raise _bug(fault, masker) from None
    except Exception as fault:  # noqa: BLE001  told by whoever catches it, without its secrets
        raise _bug(fault, masker) from None


def _bug(fault: Exception, masker: Masker) -> MaskedBug:
    return MaskedBug(origin(fault), masker.text("".join(traceback.format_exception(fault))))


def conceal(error: NbopsError, masker: Masker) -> None:
    """Take every secret that `masker` knows out of an error that is told and not raised."""
    error.problems = tuple(_masked(one, masker) for one in error.problems)
    error.args = ("\n".join(str(one) for one in error.problems),)


def _masked(problem: Problem, masker: Masker) -> Problem:
    hint = problem.hint and masker.text(problem.hint)
    return replace(problem, message=masker.text(problem.message), hint=hint)
