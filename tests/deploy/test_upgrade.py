"""Upgrade and rollback as visitors see them, on real machines with the sample app."""

from __future__ import annotations

import pytest

from tests.deploy.upgrading import NEW, OLD, Upgrading

pytestmark = pytest.mark.lab


def test_visitors_see_the_old_version_then_503_then_the_new_and_lose_nothing(
    old: Upgrading,
) -> None:
    before = old.state()
    old.add("written before")
    with old.watched() as seen:
        told = old.upgrade().ended(0, f"NocoBase {NEW} serves")
    seen.check_window(OLD, NEW)
    assert {"written before", *seen.notes} <= old.notes()
    assert "503 for" in told.out
    old.add("written after")

    with old.watched() as seen:
        old.rollback().ended(0, f"NocoBase {OLD} serves again")
    seen.check_window(NEW, OLD)
    now = old.notes()
    assert "written before" in now
    assert "written after" not in now
    assert seen.notes_since(seen.window[1]) <= now
    kept = old.sql("SELECT title FROM notes", old.kept_databases()[-1])
    assert "written after" in kept
    assert old.state()["tables"] == before["tables"]
    assert old.state()["versions"] == [OLD] * 3


def test_a_migration_that_fails_half_way_ends_with_the_old_version_serving(old: Upgrading) -> None:
    before = old.state()
    with old.watched() as seen:
        told = old.upgrade(inventory=old.broken_by("die-in-migration"))
    told.ended(3, "Wait until it serves", OLD)
    seen.check_window(OLD, OLD)
    assert seen.notes <= old.notes()
    assert old.state() == before
