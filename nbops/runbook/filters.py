"""Filters and tests of Ansible that runbooks use, with Ansible's results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

FILTERS: Mapping[str, Callable[..., Any]] = {}
TESTS: Mapping[str, Callable[..., Any]] = {}
