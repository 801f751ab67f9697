"""Which report is shown: JSON when asked for, live on a terminal, plain lines otherwise."""

from __future__ import annotations

import os
import sys

from nbops.base.events import Observer
from nbops.report.jsonl import JsonObserver
from nbops.report.plain import PlainObserver


def observer(*, json: bool = False, plain: bool = False, verbosity: int = 0) -> Observer:
    """The observer for this process's standard output."""
    if json:
        return JsonObserver(sys.stdout)
    if not plain and is_live():
        from nbops.report.terminal import TerminalObserver

        return TerminalObserver(verbosity=verbosity)
    return PlainObserver(sys.stdout, verbosity=verbosity)


def recorded(*, json: bool = False, verbosity: int = 0) -> Observer:
    """The observer for events of the past: nothing in them is live."""
    return JsonObserver(sys.stdout) if json else PlainObserver(sys.stdout, verbosity=verbosity)


def is_live() -> bool:
    """Whether standard output is a terminal that can show a live view."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in {None, "", "dumb"}
