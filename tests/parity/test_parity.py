"""The same plays under ansible-playbook and under nbops: same recap, results and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.parity.harness import Bench

CASES = Path(__file__).parent / "cases"


def cases() -> list[Any]:
    found: list[Any] = []
    for path in sorted(CASES.glob("*.yml")):
        found += [
            pytest.param(case, id=f"{path.stem}: {case['case']}")
            for case in yaml.safe_load(path.read_text())
        ]
    return found


def test_there_are_enough_cases() -> None:
    names = [case.id for case in cases()]
    assert len(names) >= 240
    assert len(set(names)) == len(names)


@pytest.mark.ansible
@pytest.mark.sshd
@pytest.mark.parametrize("case", cases())
def test_a_play_does_what_it_does_under_ansible(bench: Bench, case: Mapping[str, Any]) -> None:
    differences = bench.compare(case)
    assert not differences, "\n".join(differences)
