"""Which report is shown: JSON when asked for, plain lines otherwise."""

from __future__ import annotations

import sys

from nbops.base.events import Observer
from nbops.report.jsonl import JsonObserver
from nbops.report.plain import PlainObserver


def observer(*, json: bool = False, verbosity: int = 0) -> Observer:
    """The observer for this process's standard output."""
    if json:
        return JsonObserver(sys.stdout)
    return PlainObserver(sys.stdout, verbosity=verbosity)
