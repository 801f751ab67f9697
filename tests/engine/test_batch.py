from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.engine.batch import Batch, Failure, batches
from nbops.engine.hosts import Hosts
from nbops.engine.variables import PlayVariables

FIVE = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("serial", "sizes"),
    [
        (None, [5]),
        (0, [5]),
        (2, [2, 2, 1]),
        ("2", [2, 2, 1]),
        ("40%", [2, 2, 1]),
        ("1%", [1, 1, 1, 1, 1]),
        ("100%", [5]),
        (9, [5]),
        ([1, 2], [1, 2, 2]),
        ([1, "50%"], [1, 2, 2]),
        ([1, 0], [1, 4]),
        ([], [5]),
    ],
)
def test_serial_cuts_the_hosts_as_ansible_does(serial: object, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches(FIVE, serial)] == sizes


def test_a_serial_that_is_no_number_is_named() -> None:
    with pytest.raises(ValueError, match="not `many`"):
        batches(FIVE, "many")


@given(
    st.lists(st.text(min_size=1), unique=True),
    st.lists(st.one_of(st.integers(0, 9), st.integers(1, 200).map(lambda n: f"{n}%")), max_size=4),
)
def test_every_host_is_in_exactly_one_batch(hosts: list[str], serial: list[object]) -> None:
    assert [host for batch in batches(hosts, serial) for host in batch] == hosts


def batch(*hosts: str, limit: float | None = None) -> Batch:
    return Batch(hosts, Hosts(hosts), PlayVariables(), limit)


def failure(*, guarded: bool = False) -> Failure:
    return Failure("a task", {"failed": True}, guarded)


def test_a_failed_host_leaves_and_a_rescued_one_comes_back() -> None:
    three = batch("a", "b", "c")
    three.fail("b", failure())
    assert three.live(three.hosts) == ["a", "c"]
    assert three.rescue(["a", "b"], unreachable=False) == ["b"]
    assert three.live(three.hosts) == ["a", "b", "c"]
    assert three.states["b"].set["ansible_failed_task"] == {"name": "a task"}


def test_an_unreachable_host_is_rescued_only_when_the_block_says_so() -> None:
    one = batch("a")
    one.unreachable["a"] = failure()
    assert one.rescue(["a"], unreachable=False) == []
    assert one.rescue(["a"], unreachable=True) == ["a"]


def test_held_hosts_come_back_with_their_first_failure() -> None:
    one = batch("a")
    first = failure()
    one.fail("a", first)
    held = one.hold(["a"])
    assert one.live(["a"]) == ["a"]
    one.put_back(held)
    assert one.failed["a"] is first


def test_the_limit_is_passed_only_above_the_percentage() -> None:
    four = batch("a", "b", "c", "d", limit=25)
    four.fail("a", failure())
    four.fail("b", failure(guarded=True))
    assert not four.beyond_limit()
    four.fail("c", failure())
    assert four.beyond_limit()


def test_others_fail_with_the_one_whose_error_is_fatal() -> None:
    two = batch("a", "b")
    two.fail("a", failure())
    two.fail_others("a task", "stopped", beyond_rescue=True)
    assert set(two.failed) == {"a", "b"}
    assert two.rescue(["a", "b"], unreachable=False) == ["a"]
    assert two.rescue(["b"], unreachable=False) == ["b"]
