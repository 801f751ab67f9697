"""Every expression of the table gives what ansible-core gives, or fails where it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbops.base.errors import NbopsError
from nbops.runbook.expr import Layer, Templar, Variables
from tests.runbook.expressions import TEMPLATES, VARIABLES
from tests.runbook.expressions_more import CONDITIONS, FILES, INCLUDED, THREE

HERE = Path(__file__).parent
# Ansible gives these in the order of a Python set, nbops in that of the first list.
UNORDERED = ("| union(", "| intersect(", "| difference(", "| symmetric_difference(")


@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, str(HERE / "ask_ansible.py"), str(tmp_path_factory.mktemp("ansible"))],
        check=True,
        capture_output=True,
        timeout=120,
        cwd=HERE,
    )
    answers: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="module")
def templar() -> Templar:
    return Templar(())


def variables(templar: Templar) -> Variables:
    return Variables([Layer("table", VARIABLES, template=True)], templar)


@pytest.mark.parametrize("number", range(len(TEMPLATES)), ids=lambda n: repr(TEMPLATES[n]))
def test_a_template_gives_what_ansible_gives(
    number: int, ansible: dict[str, list[dict[str, Any]]], templar: Templar
) -> None:
    text, expected = TEMPLATES[number], ansible["templates"][number]
    if "error" in expected:
        with pytest.raises(NbopsError):
            templar.render(text, variables(templar))
        return
    value, wanted = templar.render(text, variables(templar)), expected["value"]
    if any(name in text for name in UNORDERED):
        value, wanted = sorted(value, key=repr), sorted(wanted, key=repr)
    assert json.loads(json.dumps(value)) == wanted
    assert type(json.loads(json.dumps(value))) is type(wanted)


@pytest.mark.parametrize("number", range(len(CONDITIONS)), ids=lambda n: repr(CONDITIONS[n]))
def test_a_condition_is_judged_as_ansible_judges_it(
    number: int, ansible: dict[str, list[dict[str, Any]]], templar: Templar
) -> None:
    text, expected = CONDITIONS[number], ansible["conditions"][number]
    if "error" in expected:
        with pytest.raises(NbopsError):
            templar.condition(text, variables(templar))
    else:
        assert templar.condition(text, variables(templar)) is expected["value"]


@pytest.mark.parametrize("number", range(len(FILES)), ids=lambda n: repr(FILES[n]))
def test_a_template_file_gives_what_ansible_gives(
    number: int, ansible: dict[str, list[dict[str, Any]]], templar: Templar, tmp_path: Path
) -> None:
    expected = ansible["files"][number]
    (tmp_path / "in.j2").write_text(INCLUDED, encoding="utf-8")
    (tmp_path / "three.j2").write_text(THREE, encoding="utf-8")
    inner = templar.within(tmp_path)
    if "error" in expected:
        with pytest.raises(NbopsError):
            inner.text(FILES[number], variables(inner), "t.j2")
    else:
        assert inner.text(FILES[number], variables(inner), "t.j2") == str(expected["value"])


def test_there_are_enough_expressions() -> None:
    assert len(TEMPLATES) + len(CONDITIONS) >= 150
