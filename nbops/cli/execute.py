"""`nbops exec`: one command on many hosts, without a runbook."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from nbops.base.command import Command, Effect, join
from nbops.base.errors import HostUnusable, Interrupted, NbopsError
from nbops.base.events import Status, StepEnded, TaskStarted
from nbops.base.ids import StepId
from nbops.cli.options import Output, Target, expand

if TYPE_CHECKING:
    from nbops.cli.reach import Reach

_ACTION = "exec"


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(
        "exec",
        epilog="Example: nbops exec app -- docker ps. One word is a line for the shell there: "
        "nbops exec app -- 'df -h | tail -1'",
    )(expand(execute))


def execute(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Hosts: `app`, `app:!node3`…")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND…", show_default=False)],
    target: Target,
    output: Output,
) -> None:
    """Run a command on hosts and show what it writes. It is killed after five minutes."""
    from nbops.cli.reach import reach

    line = command[0] if len(command) == 1 else join(command)
    with reach(target, output, events=True) as reached:
        hosts = reached.hosts(pattern)
        for host in hosts:  # what is wrong here is told before anything is done there
            reached.identity(host)
        reached.bus(TaskStarted(step=_ACTION, task=line, action=_ACTION, hosts=hosts))
        errors = list(reached.workers.map(lambda host: _on(reached, host, line), hosts))
        _kill_left(reached, [host for host, error in zip(hosts, errors, strict=True) if error])
    _judge([error for error in errors if error is not None], len(hosts))


def _on(reached: Reach, host: str, line: str) -> NbopsError | None:
    """Run it on one host and tell; gives the error when it could not be or did not go well."""
    began = time.monotonic()
    try:
        outcome = reached.connections.session(host).run(
            Command(
                line,
                effect=Effect.JOB,
                step=str(StepId(_ACTION, host)),
                identity=reached.identity(host),
            )
        )
    except NbopsError as error:
        unreachable = isinstance(error, HostUnusable)
        status = Status.UNREACHABLE if unreachable else Status.FAILED
        _tell(reached, host, status, time.monotonic() - began, message=str(error))
        return error
    result = {"rc": outcome.status, "stdout": outcome.out, "stderr": outcome.err}
    status = Status.OK if outcome.ok else Status.FAILED
    _tell(reached, host, status, outcome.seconds, line=line, result=result)
    return None if outcome.ok else NbopsError(f"{host}: exit status {outcome.status}")


def _tell(
    reached: Reach,
    host: str,
    status: Status,
    seconds: float,
    *,
    message: str = "",
    line: str = "",
    result: dict[str, object] | None = None,
) -> None:
    reached.bus(
        StepEnded(
            step=_ACTION,
            task=line,
            action=_ACTION,
            host=host,
            status=status,
            seconds=seconds,
            message=message,
            result=result or {},
        )
    )


def _kill_left(reached: Reach, hosts: list[str]) -> None:
    """After a stop: no command goes on behind the user's back."""
    if not reached.stop.is_set:
        return
    reached.stop.lift()
    for host in hosts:
        session = reached.connections.session(host)
        session.kill(str(StepId(_ACTION, host)), reached.identity(host))
    raise Interrupted("stopped by the user; the command was killed where it still ran")


def _judge(errors: list[NbopsError], hosts: int) -> None:
    """End with the right exit code; what failed has been shown."""
    unusable = [error for error in errors if isinstance(error, HostUnusable)]
    problems = dict.fromkeys(part for error in unusable for part in error.problems)
    if problems:
        kind = HostUnusable if len(unusable) == hosts else NbopsError
        raise kind.of(problems)
    if errors:
        raise typer.Exit(1)
