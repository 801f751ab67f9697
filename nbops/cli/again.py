"""`nbops resume` and `nbops abort`: what becomes of a run that was interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nbops.base.errors import LockedError, RefusedError, RolledBack, UsageError
from nbops.base.secret import MASK
from nbops.cli.extra import extra_vars
from nbops.cli.options import Output, expand

if TYPE_CHECKING:
    from nbops.cli.run_options import RunOptions
    from nbops.journal.read import PastRun
    from nbops.journal.unfinished import Unfinished

Run = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", help="Its name, or the beginning of it.", show_default="the last one"
    ),
]
Changed = Annotated[
    bool,
    typer.Option("--changed", help="Although the runbook or the inventory has changed since."),
]
Extra = Annotated[
    list[str] | None,
    typer.Option(
        "-e",
        "--extra-vars",
        metavar="KEY=VALUE",
        help="The variables of the run's own -e, where they held secrets.",
        show_default=False,
    ),
]
Forks = Annotated[
    int | None,
    typer.Option("--forks", min=1, metavar="N", help="Hosts at the same time.", show_default=False),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Example: nbops resume 20261123T0847")(expand(resume))
    app.command(epilog="Example: nbops abort 20261123T0847")(expand(abort))


def resume(
    output: Output,
    run: Run = None,
    changed: Changed = False,
    extra: Extra = None,
    forks: Forks = None,
) -> None:
    """Go on with a run that was interrupted, to the end that it would have had."""
    from nbops.cli import wire

    options = _options(run, output, extra, changed=changed, aborting=False, forks=forks)
    raise typer.Exit(wire.run(options))


def abort(
    output: Output,
    run: Run = None,
    changed: Changed = False,
    extra: Extra = None,
    forks: Forks = None,
) -> None:
    """Undo what an interrupted run did, to the state before it."""
    from nbops.cli import wire

    options = _options(run, output, extra, changed=changed, aborting=True, forks=forks)
    try:
        code = wire.run(options)
    except RolledBack:
        code = 0
    raise typer.Exit(code)


def _options(
    name: str | None,
    output: Output,
    extra: list[str] | None,
    *,
    changed: bool,
    aborting: bool,
    forks: int | None,
) -> RunOptions:
    from nbops.cli.interrupted import again
    from nbops.cli.run_options import RunOptions
    from nbops.engine.run import OnFailure
    from nbops.journal.store import journal_path
    from nbops.journal.unfinished import unfinished

    run = find(name)
    state = unfinished(journal_path(), run.run)
    _check_over(run, state)
    if aborting:
        _check_revocable(state, run.command)
    plan = json.loads(state.plan)
    if plan["check"]:
        raise UsageError(
            f"run {run.run} only said what would change (`--check`): there is nothing to go on with"
        )
    return RunOptions(
        command=run.command,
        runbook=Path(run.runbook),
        inventory=Path(run.inventory),
        strict=plan["strict"],
        extra_vars=_extra(run.run, plan["extra"], extra),
        limit=plan["limit"],
        tags=tuple(plan["tags"]),
        skip_tags=tuple(plan["skip_tags"]),
        start_at_task=plan["start_at_task"],
        forks=forks,
        json=output.json,
        plain=output.plain,
        verbosity=output.verbosity,
        version=plan["version"],
        accept_data_loss=plan["accept_data_loss"],
        to=plan["to"],
        on_failure=OnFailure(plan["on_failure"]) if plan["on_failure"] else None,
        adopt=plan["adopt"],
        again=again(state, plan, changed=changed, aborting=aborting),
    )


def _extra(run: str, kept: Mapping[str, Any], given: list[str] | None) -> Mapping[str, Any]:
    """The run's own variables, those that held secrets given anew. Raises UsageError when one
    of these is missing."""
    anew = extra_vars(given or ())
    missing = [
        name for name, value in kept.items() if name not in anew and MASK in json.dumps(value)
    ]
    if missing:
        raise UsageError(
            f"run {run} was begun with `-e {missing[0]}=…`, a secret, which is kept nowhere",
            hint=f"give {' '.join(_form(name, kept[name]) for name in missing)} again",
        )
    return {**kept, **anew}


def _form(name: str, value: Any) -> str:
    """How a variable that held a secret is given once more."""
    if isinstance(value, Mapping | list):
        return f"-e @FILE (with `{name}` as it was)"
    return f"-e {name}=…"


def find(name: str | None) -> PastRun:
    """The run to go on with: the one that is named, else the last one that is not over.

    Raises UsageError when there is none, or when the one that is named is over.
    """
    from nbops.journal import read
    from nbops.journal.store import journal_path

    if name is not None:
        run = read.find_run(journal_path(), name)
        if run.ended_at is not None:
            raise UsageError(
                f"run {run.run} came to its end (exit code {run.exit_code})",
                hint=f"`nbops show {run.run}` tells how",
            )
        return run
    open_ones = read.unfinished_runs(journal_path())
    if not open_ones:
        raise UsageError("no run from this computer was interrupted", hint="see `nbops history`")
    return open_ones[0]


def _check_over(run: PastRun, state: Unfinished) -> None:
    from nbops.engine.process import gone

    alive = [one for one in state.processes if not gone(one)]
    if alive:
        number = alive[-1].split(":")[2]
        raise LockedError(
            f"run {run.run} is still at work: process {number} of this computer",
            hint="wait for it, or stop it with Ctrl-C first",
        )


def _check_revocable(state: Unfinished, command: str) -> None:
    if state.sealed:
        back = "; `nbops rollback` goes back and says what is lost"
        raise RefusedError(
            f"run {state.run} had let users in: they may have written since",
            hint=f"`nbops resume {state.run}` finishes it{back if command != 'deploy' else ''}",
        )
