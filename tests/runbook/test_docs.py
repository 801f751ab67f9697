"""The reference: complete, and as fresh as the code."""

from __future__ import annotations

from pathlib import Path

from nbops.cli import wire
from nbops.runbook.docs import action_page, page
from nbops.runbook.filters import FILTERS, TESTS
from nbops.runbook.keywords import KEYWORDS, LOOP_CONTROL, RETRY
from nbops.runbook.lint import RULES
from tests.runbook.conftest import CATALOG

REFERENCE = Path(__file__).parents[2] / "docs" / "runbooks.md"


def test_the_reference_is_fresh() -> None:
    stale = "docs/runbooks.md is older than the models it is made from: run `make docs`"
    assert REFERENCE.read_text(encoding="utf-8") == page(wire.catalog()), stale


def test_the_reference_knows_every_word_of_the_language() -> None:
    text = page(CATALOG)
    for name in (*KEYWORDS, *LOOP_CONTROL, *RETRY, *FILTERS, *TESTS, *RULES):
        assert f"`{name}`" in text, name
    for spec in CATALOG:
        assert f"\n### {spec.name}\n" in text


def test_an_action_is_told_with_its_arguments() -> None:
    spec = CATALOG.get("copy")
    assert spec
    text = action_page(spec)
    assert "| `dest` | text | **required** | The file to write. |" in text
    assert "| `mode` | text or whole number |  | Its mode. |" in text


def test_an_argument_goes_by_the_name_that_users_write() -> None:
    spec = wire.catalog().get("copy")
    assert spec
    assert "| `validate` |" in action_page(spec)
    assert "validate_with" not in action_page(spec)
