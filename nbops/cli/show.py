"""How commands show what they have to say at their end: documents, tables, errors."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from nbops.base.clean import clean, one_line
from nbops.base.errors import NbopsError, Problem, origin
from nbops.base.events import EVENT_FORMAT
from nbops.cli.faults import MaskedBug
from nbops.report.ending import problems
from nbops.report.jsonl import as_line, plain_data
from nbops.report.out import Out


def document(data: Any) -> None:
    """One JSON document on standard output, for commands that only read."""
    Out(sys.stdout).write(json.dumps(plain_data(data), indent=2, allow_nan=False))


def line(data: Mapping[str, Any]) -> None:
    """One JSON object on a line of standard output, as the events before it."""
    Out(sys.stdout).write(as_line({"format": EVENT_FORMAT, **data}))


def text(value: str) -> None:
    """Text on standard output, cleaned."""
    Out(sys.stdout).write(clean(value).rstrip("\n"))


def whole(value: str) -> None:
    """A text that is clean already, on standard output as it is."""
    Out(sys.stdout).write(value.rstrip("\n"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows in columns under their names, on standard output."""
    cells = [[one_line(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    out = Out(sys.stdout)
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.write("  ".join(padded).rstrip())


def error(fault: NbopsError, *, as_json: bool) -> None:
    """Every problem: lines on standard error, or one JSON object on standard output."""
    if as_json:
        line(error_data(type(fault).__name__, fault.exit_code, fault.problems))
        return
    out = Out(sys.stderr)
    for one in problems(fault):
        out.write(one.text)


def error_data(name: str, code: int, faults: Sequence[Problem]) -> Mapping[str, Any]:
    """An error as `--json` gives it."""
    return {
        "kind": "error",
        "error": name,
        "exit_code": code,
        "problems": [
            {
                "message": problem.message,
                "file": problem.place.file if problem.place else None,
                "line": problem.place.line if problem.place else None,
                "column": problem.place.column if problem.place else None,
                "hint": problem.hint,
            }
            for problem in faults
        ],
    }


def bug(fault: BaseException, *, verbose: bool, as_json: bool) -> None:
    """An error that nbops did not foresee. The text of the error itself is shown only when
    asked for: it may hold values that nobody masked."""
    at = fault.where if isinstance(fault, MaskedBug) else origin(fault)
    message = f"this is a bug in nbops, not in what you wrote ({at})"
    hint = "with -v it shows the lines that a report needs"
    if as_json:
        line(error_data("Bug", 1, [Problem(message, None, hint)]))
    out = Out(sys.stderr)
    if verbose:
        known = fault.trace if isinstance(fault, MaskedBug) else None
        out.write(clean(known or "".join(traceback.format_exception(fault))).rstrip("\n"))
        hint = "report the lines above with the command; look through them first"
    if not as_json:
        out.write(f"error: {message}\n  hint: {hint}")
