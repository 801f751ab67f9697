"""What hosts answer is told without secrets, also where it is gathered and not raised."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from nbops.base.errors import ActionFailed
from nbops.base.retry import Stop
from nbops.base.secret import MASK, Masker
from nbops.cli import status
from nbops.cli.looker import HostLooker, side_by_side
from nbops.nocobase import looks


@pytest.fixture
def reached() -> Any:
    """A cluster within reach, with a secret."""
    masker = Masker()
    masker.learn("correct-horse-battery")
    with ThreadPoolExecutor(1) as workers:
        yield SimpleNamespace(cluster=SimpleNamespace(masker=masker), workers=workers, stop=Stop())


def failing(*_arguments: Any) -> Any:
    raise ActionFailed("no: correct-horse-battery", hint="try correct-horse-battery")


def test_an_error_of_one_host_among_others_holds_no_secret(reached: Any) -> None:
    _, faults = side_by_side(reached, ["node1"], failing)
    assert str(faults["node1"].problems[0].message) == f"no: {MASK}"
    assert "correct" not in f"{faults['node1']} {faults['node1'].problems}"


def test_a_trouble_of_a_part_holds_no_secret(reached: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "look_at_apps", failing)
    cluster: Any = SimpleNamespace(members={"node1": None}, groups={"app": ("node1",)})
    seen = status._parts_on(cluster, HostLooker(reached, "node1"), redis=False, tools=False)
    (trouble,) = seen.faults
    assert MASK in str(trouble)
    assert "correct" not in str(trouble) + repr(trouble)
