"""How commands show what they have to say at their end: documents, tables, errors."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from nbops.base.errors import NbopsError
from nbops.base.events import EVENT_FORMAT
from nbops.report.clean import clean, one_line
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
        Out(sys.stdout).write(as_line(error_data(fault)))
        return
    out = Out(sys.stderr)
    for one in problems(fault):
        out.write(one.text)


def error_data(fault: NbopsError) -> Mapping[str, Any]:
    """An error as `--json` gives it."""
    return {
        "format": EVENT_FORMAT,
        "kind": "error",
        "error": type(fault).__name__,
        "exit_code": fault.exit_code,
        "problems": [
            {
                "message": problem.message,
                "file": problem.place.file if problem.place else None,
                "line": problem.place.line if problem.place else None,
                "column": problem.place.column if problem.place else None,
                "hint": problem.hint,
            }
            for problem in fault.problems
        ],
    }


def bug(fault: BaseException, *, verbose: bool) -> None:
    """An error that nbops did not foresee. The text of the error itself is shown only when
    asked for: it may hold values that nobody masked."""
    out = Out(sys.stderr)
    last = traceback.extract_tb(fault.__traceback__)[-1]
    where = f"{type(fault).__name__} at {last.filename}:{last.lineno}"
    out.write(f"error: this is a bug in nbops, not in what you wrote ({where})")
    if verbose:
        out.write(clean("".join(traceback.format_exception(fault))).rstrip("\n"))
        out.write("please report it with the lines above and the command; look through them first")
    else:
        out.write("  hint: run it again with -v for the lines that a report needs")
