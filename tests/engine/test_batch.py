from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.engine.batch import Batch, batches
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
    made = Batch(hosts, Hosts(hosts), PlayVariables(), limit)
    made.begin(())
    return made


def test_a_failed_host_is_lost_and_an_unreachable_one_is_left_alone() -> None:
    three = batch("a", "b", "c")
    three.fail("b")
    three.lose("c")
    assert three.lost == {"b", "c"}
    assert three.left == ["a", "b"]
    assert three.removed == ["b", "c"]


def test_the_limit_is_passed_only_above_the_percentage() -> None:
    four = batch("a", "b", "c", "d", limit=25)
    four.failed.add("a")
    assert not four.beyond_limit
    four.failed.add("c")
    assert four.beyond_limit


def test_others_fail_with_the_one_whose_error_is_fatal() -> None:
    two = batch("a", "b")
    two.fail("a")
    two.fail_others(["a", "b"], {"a"})
    assert two.stuck == {"a", "b"}
    assert two.failed == {"b"}


def test_forgiven_hosts_are_neither_failed_nor_unreachable() -> None:
    two = batch("a", "b")
    two.fail("a")
    two.lose("b")
    two.clear_errors()
    assert two.lost == set()
    assert two.left == ["a", "b"]
