from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.engine.cursor import Cursor, Frame
from nbops.engine.program import Body, Item, Step, steps_of
from nbops.engine.scope import Scope
from nbops.runbook.model import Play, Task

SCOPE = Scope((Play(path="0", hosts="all"),))


def step(name: str) -> Step:
    return Step(Task(path=name, action="ping"), SCOPE)


def items(written: list[object]) -> tuple[Item, ...]:
    return tuple(
        step(one) if isinstance(one, str) else Body(*(items(part) for part in one))  # type: ignore[attr-defined]
        for one in written
    )


def walk(written: list[object], failing: Mapping[str, int]) -> tuple[str, bool]:
    """The steps of a host, in order, when some fail so many times; and whether it is lost."""
    cursor = Cursor(Frame(Body(items(written))))
    gone = ""
    while (found := cursor.next(frozenset(), due=False)) is not None:
        gone += found.task.path
        for _ in range(failing.get(found.task.path, 0)):
            cursor.fail()
    return gone, cursor.failed


BLOCK = [(["a", "b"], ["r"], ["z"]), "e"]
NESTED = [([(["a"], ["r"], ["y"]), "b"], ["s"], ["z"]), "e"]


@pytest.mark.parametrize(
    ("written", "failing", "way", "lost"),
    [
        (["a", "b"], "", "ab", False),
        (["a", "b"], "a", "a", True),
        (BLOCK, "", "abze", False),
        (BLOCK, "a", "arze", False),
        (BLOCK, "ar", "arz", True),
        (BLOCK, "z", "abz", True),
        (BLOCK, "az", "arz", True),
        (NESTED, "a", "arybze", False),
        (NESTED, "ar", "arysze", False),
        (NESTED, "ars", "arysz", True),
        (NESTED, "ay", "arysze", False),
        (NESTED, "b", "aybsze", False),
        ([(["a"], [], ["z"]), "e"], "a", "az", True),
        ([(["a"], [(["r"], ["s"], [])], []), "e"], "ar", "arse", False),
    ],
)
def test_a_failure_leads_to_rescue_and_always(
    written: list[object], failing: str, way: str, lost: bool
) -> None:
    assert walk(written, dict.fromkeys(failing, 1)) == (way, lost)


def test_a_host_that_is_failed_twice_leaves_its_rescue() -> None:
    assert walk(BLOCK, {"a": 2}) == ("az", True)
    assert walk(NESTED, {"a": 2}) == ("aysze", False)


def test_included_steps_come_next() -> None:
    cursor = Cursor(Frame(Body(items(["a", "b"]))))
    assert cursor.next(frozenset(), due=False).task.path == "a"  # type: ignore[union-attr]
    cursor.insert(items(["x"]), ())
    assert cursor.next(frozenset(), due=False).task.path == "x"  # type: ignore[union-attr]
    assert cursor.next(frozenset(), due=False).task.path == "b"  # type: ignore[union-attr]


def test_handlers_come_when_the_host_flushes_and_then_it_goes_on() -> None:
    one, two = step("one"), step("two")
    cursor = Cursor(Frame(Body(items(["a", "b"]))))
    cursor.next(frozenset(), due=False)
    cursor.flush([one, two])
    assert cursor.next(frozenset({two}), due=True) is two
    assert cursor.next(frozenset(), due=False).task.path == "b"  # type: ignore[union-attr]


def test_a_host_that_ends_in_its_rescue_counts_as_rescued() -> None:
    cursor = Cursor(Frame(Body(items(BLOCK))))
    cursor.next(frozenset(), due=False)
    cursor.fail()
    cursor.next(frozenset(), due=False)
    cursor.end()
    assert cursor.next(frozenset(), due=False) is None
    assert not cursor.failed


def test_a_rescue_further_out_is_reached_past_those_within() -> None:
    written = items(NESTED)
    cursor = Cursor(Frame(Body(written)))
    cursor.next(frozenset(), due=False)
    assert isinstance(written[0], Body)
    cursor.fail_towards(written[0])
    assert cursor.next(frozenset(), due=False).task.path == "s"  # type: ignore[union-attr]


NAMES = st.lists(st.sampled_from("abcdefgh"), max_size=3)
BLOCKS = st.recursive(
    NAMES,
    lambda inner: st.lists(
        st.one_of(st.sampled_from("abcdefgh"), st.tuples(inner, inner, inner)), max_size=3
    ),
    max_leaves=12,
)


@given(BLOCKS, st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 2)))
def test_every_way_ends_and_goes_only_forward(
    written: list[object], failing: dict[str, int]
) -> None:
    program = items(written)
    order = list(steps_of(program))
    cursor, at = Cursor(Frame(Body(program))), 0
    while (found := cursor.copy().next(frozenset(), due=False)) is not None:
        assert cursor.next(frozenset(), due=False) is found
        assert found in order[at:]
        at = order.index(found) + 1
        for _ in range(failing.get(found.task.path, 0)):
            cursor.fail()


@given(BLOCKS)
def test_without_failures_every_step_but_the_rescues_runs(written: list[object]) -> None:
    def plain(some: list[object]) -> str:
        return "".join(
            one if isinstance(one, str) else plain(one[0]) + plain(one[2])  # type: ignore[index]
            for one in some
        )

    assert walk(written, {}) == (plain(written), False)
