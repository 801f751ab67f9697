"""SIGINT, SIGTERM and SIGHUP while a run goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from nbops.base.events import Bus, Note
from nbops.base.retry import Stop


@contextmanager
def signals(stop: Stop, bus: Bus) -> Iterator[None]:
    """While it lasts, the first SIGINT, SIGTERM or SIGHUP asks the run to stop; a second one
    ends it at once. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set:
            raise KeyboardInterrupt
        stop.set()
        name = signal.Signals(number).name
        hint = "again to end at once"
        bus(Note(level="warning", message=f"{name}: stopping at the next safe point", hint=hint))

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: dict[int, Any] = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
