"""The only place that puts the parts together: which actions, which observers, which run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the user asked for on the command line, for every command that runs a runbook."""

    command: str
    runbook: Path
    inventory: Path
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    limit: str | None = None
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    start_at_task: str | None = None
    check: bool = False
    diff: bool = False
    forks: int | None = None
    json: bool = False
    plain: bool = False
    verbosity: int = 0
    yes: bool = False
