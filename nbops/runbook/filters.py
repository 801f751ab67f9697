"""The filters of Ansible that runbooks use, by name; jinja2's own are there beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nbops.runbook import filters_data, filters_text, filters_values
from nbops.runbook.conditions import TESTS

FILTERS: Mapping[str, Callable[..., Any]] = {
    **filters_data.FILTERS,
    **filters_text.FILTERS,
    **filters_values.FILTERS,
}

__all__ = ["FILTERS", "TESTS"]
