"""The order of the tests, and what hypothesis may take for an example: as long as it wants, for a
box that is busy says nothing about the code."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the real NocoBase take longest: begun first, they keep no worker waiting."""
    real = {item.path for item in items if item.get_closest_marker("nocobase")}
    items.sort(key=lambda item: item.path not in real)
