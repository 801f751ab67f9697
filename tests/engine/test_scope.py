from __future__ import annotations

import pytest

from nbops.engine.scope import Scope, flag, selected
from nbops.runbook.model import Block, Play, Task


def tags(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("task", "wanted", "skipped", "runs"),
    [
        (tags(), (), (), True),
        (tags("a"), (), (), True),
        (tags("a"), ("a",), (), True),
        (tags("a"), ("b",), (), False),
        (tags(), ("a",), (), False),
        (tags("always"), ("b",), (), True),
        (tags("always"), ("b",), ("always",), False),
        (tags("never"), (), (), False),
        (tags("never", "a"), ("a",), (), True),
        (tags("never"), ("all",), (), False),
        (tags("a"), ("all",), (), True),
        (tags("a"), ("tagged",), (), True),
        (tags(), ("tagged",), (), False),
        (tags(), ("untagged",), (), True),
        (tags("a"), ("untagged",), (), False),
        (tags("a"), (), ("a",), False),
        (tags("a", "b"), ("b",), ("a",), False),
        (tags("a"), (), ("tagged",), False),
        (tags(), (), ("tagged",), True),
        (tags(), (), ("untagged",), False),
        (tags("a"), (), ("all",), False),
    ],
)
def test_tags_choose_tasks_as_in_ansible(
    task: frozenset[str], wanted: tuple[str, ...], skipped: tuple[str, ...], *, runs: bool
) -> None:
    assert selected(task, wanted, skipped) is runs


def test_the_innermost_keyword_wins_and_conditions_add_up() -> None:
    play = Play(path="0", hosts="all", become=True, tags=("p",), environment=({"A": "1"},))
    block = Block(path="0.0", when=("one",), become=False, notify=("h1",), tags=("b",))
    task = Task(
        path="0.0.0", action="ping", when=("two",), notify=("h2",), environment=({"A": "2"},)
    )
    scope = Scope((play,)).enter(block).enter(task)
    assert scope.pick("become") is False
    assert scope.pick("no_log") is None
    assert [condition for condition, _ in scope.conditions] == ["one", "two"]
    assert scope.notify == ("h1", "h2")
    assert scope.environments == ({"A": "1"}, {"A": "2"})
    assert scope.tags == {"p", "b"}
    assert scope.play is play


@pytest.mark.parametrize("value", ["yes", "True", "on", "1", 1, True, "y"])
def test_words_of_truth(value: object) -> None:
    assert flag(value)


@pytest.mark.parametrize("value", ["no", "False", "off", "0", 0, False, None, ""])
def test_words_of_falsehood(value: object) -> None:
    assert not flag(value)
