"""An interrupted run that goes on: what is known of it, and whether it may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbops.base.errors import LockedError, RefusedError
from nbops.report.downtime import Downtime

if TYPE_CHECKING:
    from nbops.engine.past import Interruption
    from nbops.journal.store import RunEntry
    from nbops.journal.unfinished import Unfinished


@dataclass(frozen=True, kw_only=True)
class Again:
    """The run that goes on: its name, what it did, the plan that it was begun with, the machines
    that its hosts were, and the number under which it held the lock (0: none)."""

    run: str
    past: Interruption = field(repr=False)
    plan: Mapping[str, Any] = field(repr=False)
    plan_hash: str
    changed: bool
    machines: Mapping[str, str]
    processes: frozenset[str]
    number: int = 0
    downtime: Downtime = field(default_factory=Downtime, repr=False)

    def check_alone(self) -> None:
        """Raises LockedError when another process goes on with the run since it was read here.

        To be called when this process is noted in the journal: of two that start together both
        see it, or one.
        """
        from nbops.engine.process import this_process
        from nbops.journal.store import journal_path
        from nbops.journal.unfinished import processes_of

        if processes_of(journal_path(), self.run) - self.processes - {this_process()}:
            raise LockedError(
                f"another process goes on with run {self.run}",
                hint=f"look at `nbops show {self.run}`, then try again",
            )

    def check(self, entry: RunEntry) -> None:
        """Raises RefusedError when the plan is another one than that of the run."""
        if self.changed or entry.plan_hash == self.plan_hash:
            return
        now = json.loads(entry.plan)
        parts = sorted(part for part in {*now, *self.plan} if now.get(part) != self.plan.get(part))
        raise RefusedError(
            f"run {self.run} was begun with another {' and '.join(parts)} than there is now",
            hint="put it back as it was, or say `--changed` to go on all the same",
        )


def again(state: Unfinished, plan: Mapping[str, Any], *, changed: bool, aborting: bool) -> Again:
    """The run that is in this state, to be ended (`aborting`: undone) by its plan, although that
    has `changed` since."""
    from nbops.engine.past import interruption
    from nbops.journal.read import events
    from nbops.journal.store import journal_path
    from nbops.report.replay import replay

    return Again(
        run=state.run,
        past=interruption(state, aborting=aborting, changed=changed),
        plan=plan,
        plan_hash=state.plan_hash,
        changed=changed,
        machines={} if changed else state.machines,
        processes=frozenset(state.processes),
        number=state.number,
        downtime=Downtime.of(replay(events(journal_path(), state.run))),
    )
