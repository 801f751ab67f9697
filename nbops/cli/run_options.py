"""What the user asked for, of every command that runs a runbook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbops.base.events import Observer
    from nbops.cli.interrupted import Again
    from nbops.engine.run import OnFailure


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the user asked for on the command line, for every command that runs a runbook.

    `strict` commands do nothing at all when one host of the inventory cannot be used. `again`
    is the interrupted run with which this one goes on. `observer` watches in place of the one
    that the other options choose. `version` is to run in place of the inventory's. `adopt` takes
    over a cluster that was built by hand.
    """

    command: str
    runbook: Path
    inventory: Path
    strict: bool = False
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
    version: str | None = None
    accept_data_loss: bool = False
    to: int | None = None
    on_failure: OnFailure | None = None
    again: Again | None = None
    observer: Observer | None = None
    adopt: bool = False
