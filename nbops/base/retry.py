"""Waiting and trying again: tenacity's policies, with a wait that a Ctrl-C ends at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import tenacity
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from nbops.base.errors import Interrupted

T = TypeVar("T")


class Stop:
    """A run's stop signal, asked by everything that waits."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """End every wait from now on."""
        self._event.set()

    def lift(self) -> None:
        """Let waits go on: for the few steps that leave things in order after a stop."""
        self._event.clear()

    @property
    def is_set(self) -> bool:
        """Whether the run is to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Interrupted when the run is to stop."""
        if self._event.is_set():
            raise Interrupted("stopped by the user")

    def sleep(self, seconds: float) -> None:
        """Wait so long; raises Interrupted at once when the run is stopped meanwhile."""
        if self._event.wait(max(0.0, seconds)):
            raise Interrupted("stopped by the user")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try, and how long to wait in between. Times in seconds.

    `attempts` counts the first one. `jitter` adds up to so many seconds, at random.
    `deadline` ends the trying when the next wait would go beyond it.
    """

    attempts: int = 1
    backoff: Literal["fixed", "exponential"] = "fixed"
    delay: float = 5.0
    max_delay: float = 60.0
    jitter: float = 0.0
    deadline: float | None = None

    def wait(self) -> wait_base:
        """The waits as a tenacity policy."""
        waits: wait_base = (
            tenacity.wait_exponential(multiplier=self.delay, min=self.delay, max=self.max_delay)
            if self.backoff == "exponential"
            else tenacity.wait_fixed(self.delay)
        )
        return waits + tenacity.wait_random(0, self.jitter) if self.jitter else waits

    def stop(self) -> stop_base:
        """The end as a tenacity policy."""
        end: stop_base = tenacity.stop_after_attempt(self.attempts)
        if self.deadline is not None:
            end = tenacity.stop_any(end, tenacity.stop_before_delay(self.deadline))
        return end

    def until(
        self, good: Callable[[T], bool], attempt: Callable[[int], T], stop: Stop
    ) -> tuple[T, int]:
        """Call `attempt(number)` until its result is `good` or the policy ends.

        Returns the last result and the number of attempts made. Raises whatever `attempt`
        raises, and Interrupted when the run is stopped.
        """
        made = 0

        def one() -> T:
            nonlocal made
            stop.check()
            made += 1
            return attempt(made)

        retrying = tenacity.Retrying(
            stop=self.stop(),
            wait=self.wait(),
            sleep=stop.sleep,
            retry=tenacity.retry_if_result(lambda result: not good(result)),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        return retrying(one), made


class Deadline:
    """A moment that is not to be passed, by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether there is no time left."""
        return self.left == 0.0

    def renew(self) -> None:
        """Count anew from now: for waits that end only when nothing moves any more."""
        self._end = time.monotonic() + self.seconds
