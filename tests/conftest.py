"""The order of the tests."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the real NocoBase take longest: begun first, they keep no worker waiting."""
    real = {item.path for item in items if item.get_closest_marker("nocobase")}
    items.sort(key=lambda item: item.path not in real)
