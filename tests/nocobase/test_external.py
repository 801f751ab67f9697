"""The user's own commands for a balancer: what is told of one that failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nbops.base.command import Outcome
from nbops.base.errors import ActionFailed
from nbops.base.secret import Masker
from nbops.nocobase.balancers.api import BalancerPlan
from nbops.nocobase.balancers.external import External


def context(said: str) -> Any:
    """This computer, where every command says so much and fails."""
    answers = Outcome(0, b"0 \n"), Outcome(1, said.encode())
    return SimpleNamespace(
        host="localhost",
        check=False,
        vars={"nocobase": {"balancer": {"commands": {"traffic": "go"}}}, "inventory_dir": "/"},
        probe=lambda _script: answers[0],
        act=lambda _script, **_options: answers[1],
        progress=lambda _message: None,
    )


def test_of_a_failed_command_the_end_is_told_without_a_part_of_a_secret() -> None:
    masker = Masker()
    masker.learn("correct-horse-battery")
    said = f"password: correct-horse-battery {'x' * 1985}\nthe end"
    with pytest.raises(ActionFailed) as caught:
        External().configure(BalancerPlan("demo", ()), context(said))
    shown = masker.text(str(caught.value))
    assert "tery" not in shown
    assert "the end" in shown
