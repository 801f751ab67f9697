"""The list of differences: short, and true."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.parity.harness import Bench

CASES: list[Mapping[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("differences.yml").read_text()
)
PAGE = Path(__file__).parents[2] / "docs" / "differences.md"


def test_there_are_ten_differences_at_most_and_each_has_its_play() -> None:
    entries = [
        int(number) for number in re.findall(r"^## (\d+)\. ", PAGE.read_text(), re.MULTILINE)
    ]
    assert entries == list(range(1, len(entries) + 1))
    assert len(entries) <= 10
    assert {case["entry"] for case in CASES} == set(entries)


@pytest.mark.ansible
@pytest.mark.sshd
@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_the_difference_is_there_and_nothing_else(bench: Bench, case: Mapping[str, Any]) -> None:
    found = bench.compare(case)
    assert found, "gone: take it off the list"
    assert [line for line in found if not re.search(case["shows"], line)] == []
