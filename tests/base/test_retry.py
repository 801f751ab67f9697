from __future__ import annotations

import threading
import time

import pytest

from nbops.base.errors import Interrupted
from nbops.base.retry import Deadline, RetryPolicy, Stop


def test_it_tries_until_the_result_is_good() -> None:
    policy = RetryPolicy(attempts=5, delay=0)
    assert policy.until(lambda number: number == 3, lambda number: number, Stop()) == (3, 3)


def test_the_last_result_is_given_when_none_is_good() -> None:
    policy = RetryPolicy(attempts=3, delay=0)
    assert policy.until(lambda _: False, lambda number: number, Stop()) == (3, 3)


def test_an_error_is_not_tried_again() -> None:
    made = []

    def attempt(number: int) -> int:
        made.append(number)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        RetryPolicy(attempts=3, delay=0).until(lambda _: True, attempt, Stop())
    assert made == [1]


def test_a_stop_ends_the_wait_at_once() -> None:
    stop = Stop()
    threading.Timer(0.05, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        RetryPolicy(attempts=2, delay=30).until(lambda _: False, lambda n: n, stop)
    assert time.monotonic() - begun < 5


def test_exponential_waits_grow_to_their_limit() -> None:
    waits: list[float] = []

    class Noted(Stop):
        def sleep(self, seconds: float) -> None:
            waits.append(seconds)

    policy = RetryPolicy(attempts=6, backoff="exponential", delay=1, max_delay=5)
    policy.until(lambda _: False, lambda n: n, Noted())
    assert waits == [1, 2, 4, 5, 5]


def test_no_wait_goes_beyond_the_deadline() -> None:
    policy = RetryPolicy(attempts=100, delay=10, deadline=0.5)
    assert policy.until(lambda _: False, lambda n: n, Stop()) == (1, 1)


def test_a_deadline_can_be_renewed() -> None:
    deadline = Deadline(0.02)
    time.sleep(0.03)
    assert deadline.passed
    deadline.renew()
    assert not deadline.passed
