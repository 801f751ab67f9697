"""Which report is shown: JSON when asked for, live on a terminal, plain lines otherwise."""

from __future__ import annotations

import os
import sys

from nbops.base.events import Observer
from nbops.report.downtime import Downtime
from nbops.report.jsonl import JsonObserver
from nbops.report.plain import PlainObserver


def observer(
    *,
    json: bool = False,
    plain: bool = False,
    verbosity: int = 0,
    downtime: Downtime | None = None,
) -> Observer:
    """The observer for this process's standard output. `downtime` is that of a run that goes on,
    as of where it was interrupted."""
    if json:
        return JsonObserver(sys.stdout, downtime=downtime)
    if not plain and is_live():
        from nbops.report.terminal import TerminalObserver

        return TerminalObserver(verbosity=verbosity, downtime=downtime)
    return PlainObserver(sys.stdout, verbosity=verbosity, downtime=downtime)


def recorded(*, json: bool = False, verbosity: int = 0) -> Observer:
    """The observer for events of the past: nothing in them is live."""
    return JsonObserver(sys.stdout) if json else PlainObserver(sys.stdout, verbosity=verbosity)


def is_live() -> bool:
    """Whether standard output is a terminal that can show a live view."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in {None, "", "dumb"}
