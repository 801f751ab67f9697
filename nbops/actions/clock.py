"""Time that passes while an action waits on this side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from nbops.base.retry import Deadline, Stop


def rounds(timeout: float, pause: float, stop: Stop) -> Iterator[Deadline]:
    """One turn after the other until `timeout` seconds have passed, `pause` seconds apart; at
    least one. Raises Interrupted as soon as the run is stopped."""
    deadline = Deadline(timeout)
    while True:
        stop.check()
        yield deadline
        if deadline.passed:
            return
        stop.sleep(min(pause, deadline.left))


def stopwatch() -> Callable[[], int]:
    """Whole seconds since this call."""
    start = time.monotonic()
    return lambda: int(time.monotonic() - start)
