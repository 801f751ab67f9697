"""Effects that were begun before the run was interrupted: awaited or ended before going on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nbops.base.command import LONG_DEADLINE, Identity
from nbops.base.errors import ActionFailed, DeadlineExceeded
from nbops.base.retry import Deadline, Stop
from nbops.engine.context import EffectLog
from nbops.transport.session import JobReport, JobState, Session

_LOOK = 0.5  # seconds between two looks at a job that still runs


@dataclass
class Settled:
    """The step ids of effects of which nobody can know what they did, since the machine
    restarted under them, and of those that ended well."""

    lost: list[str] = field(default_factory=list)
    good: list[str] = field(default_factory=list)


def settle(
    steps: Sequence[str],
    session: Session,
    identity: Identity,
    *,
    log: EffectLog,
    stop: Stop,
    end: bool,
    say: Callable[[str], None],
) -> Settled:
    """Wait until each of these effects has ended, or with `end` see that it has.

    Raises DeadlineExceeded when one does not end.
    """
    settled = Settled()
    for step in steps:
        report = session.look(step, identity)
        if report.state is JobState.RUNNING and end:
            say("ends what was begun")
            session.kill(step, identity)
            report = session.look(step, identity)
        elif report.state is JobState.RUNNING:
            say("waits for what was begun before the interruption")
            report = _awaited(step, session, identity, stop)
        if report.outcome is not None:
            log.conclude(step, report.outcome.status)
            if report.outcome.status == 0:
                settled.good.append(step)
        if report.state is JobState.LOST and not end:
            settled.lost.append(step)
    return settled


def unknown(host: str) -> ActionFailed:
    """The error for an effect of which nobody can say whether it happened."""
    return ActionFailed(
        f"{host} restarted while this was being done: whether it was done is not known",
        hint=f"look at {host}; then `nbops abort`, or mend it by hand and run again",
    )


def _awaited(step: str, session: Session, identity: Identity, stop: Stop) -> JobReport:
    deadline = Deadline(LONG_DEADLINE)
    while (report := session.look(step, identity)).state is JobState.RUNNING:
        if deadline.passed:
            raise DeadlineExceeded(
                f"{session.host}: what was begun before the interruption still runs after"
                f" {deadline.seconds:g} s",
                hint=f"look at its processes on {session.host}",
            )
        stop.sleep(_LOOK)
    return report
