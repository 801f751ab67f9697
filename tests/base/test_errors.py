from __future__ import annotations

import pytest

from nbops.base.errors import ActionFailed, RefusedError, understood


def test_an_answer_that_nobody_foresaw_is_a_failure_of_its_host() -> None:
    match = r"node1 gave an answer .* `nbops` .*ValueError"
    with pytest.raises(ActionFailed, match=match), understood("node1", "nbops"):
        int("no number")


def test_what_was_foreseen_stays_as_it_is() -> None:
    with pytest.raises(RefusedError, match="too old"), understood("node1", "nbops"):
        raise RefusedError("too old")


def test_what_the_answer_held_is_not_told() -> None:
    with pytest.raises(ActionFailed) as told, understood("node1", "nbops"):
        int("s3cret")
    assert "s3cret" not in str(told.value)
