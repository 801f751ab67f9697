"""Commands that run a runbook."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nbops.base.errors import UsageError
from nbops.cli import runbooks, show
from nbops.cli.extra import extra_vars
from nbops.cli.options import (
    Choice,
    Failing,
    InventoryFile,
    Output,
    Steps,
    Target,
    expand,
    on_failure,
    words,
)

# What acts on the whole cluster, in one order, or is refused.
_WHOLE = frozenset(
    {"upgrade", "rollback", "restore", "plugin-enable", "plugin-disable", "plugin-switch"}
)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Example: nbops deploy --check --diff")(expand(deploy))
    app.command(epilog="Example: nbops run restart.yml -i inventory.yml --limit node1")(expand(run))


def deploy(  # noqa: PLR0917  typer's options
    target: Target,
    choice: Choice,
    output: Output,
    inventory_file: InventoryFile = None,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Take over this cluster, which was built by hand."),
    ] = False,
    failing: Failing = None,
) -> None:
    """Bring the cluster to what the inventory says. A second run changes nothing.

    When it fails before visitors get to what is new, everything is put back as it was (exit code
    3); the logs of the nodes are kept there.
    """
    inventory = target.inventory_path(inventory_file)
    path = runbooks.find("deploy", inventory)
    _carry_out(
        target,
        choice,
        output,
        command="deploy",
        runbook=path,
        inventory=inventory,
        strict=True,
        adopt=adopt,
        on_failure=on_failure(failing),
    )


def run(
    runbook: Annotated[
        str, typer.Argument(metavar="RUNBOOK", help="A file, or a name in runbooks/.")
    ],
    target: Target,
    choice: Choice,
    output: Output,
    steps: Steps,
) -> None:
    """Run a runbook. A file of the same name in runbooks/ beside the inventory replaces ours."""
    inventory = target.inventory_path()
    path = runbooks.find(runbook, inventory)
    if path.stem in _WHOLE and runbooks.has_name(path, inventory):
        _refuse_parts(path.stem, choice, steps)
    if steps.list_tasks or steps.list_hosts:
        _list(path, inventory, target, choice, output, steps)
        return
    _carry_out(
        target,
        choice,
        output,
        command=path.stem,
        runbook=path,
        inventory=inventory,
        start_at_task=steps.start_at_task,
    )


def _refuse_parts(name: str, choice: Choice, steps: Steps) -> None:
    given = {
        "--limit": choice.limit,
        "--tags": choice.tags,
        "--skip-tags": choice.skip_tags,
        "--start-at-task": steps.start_at_task,
    }
    options = [option for option, value in given.items() if value]
    if options:
        raise UsageError(
            f"{' and '.join(options)}: `{name}` is done as a whole, on the whole cluster",
            hint="leave it out; after an interruption `nbops resume` goes on and `nbops abort` "
            "goes back",
        )


def _list(  # noqa: PLR0917  the groups of options
    runbook: Path, inventory: Path, target: Target, choice: Choice, output: Output, steps: Steps
) -> None:
    from nbops.cli import foresee, plan, wire
    from nbops.cli.cluster import Cluster
    from nbops.inventory.pattern import match_hosts

    variables = extra_vars(target.extra_vars or ())
    known = Cluster(inventory, variables, (runbook.parent,)).inventory
    loaded = runbooks.load(runbook, inventory, wire.catalog())
    foresee.check_hosts(loaded, known, choice.limit)
    plays = plan.planned(
        loaded,
        lambda pattern: match_hosts(known, pattern, choice.limit),
        words(choice.tags),
        words(choice.skip_tags),
    )
    if output.json:
        show.document(plays)
    else:
        text = plan.as_text(plays, tasks=steps.list_tasks, hosts=steps.list_hosts)
        show.text(f"runbook: {runbook}\n\n{text}")


def _carry_out(target: Target, choice: Choice, output: Output, **named: Any) -> None:
    from nbops.cli import wire
    from nbops.cli.run_options import RunOptions

    options = RunOptions(
        extra_vars=extra_vars(target.extra_vars or ()),
        limit=choice.limit,
        tags=words(choice.tags),
        skip_tags=words(choice.skip_tags),
        check=choice.check,
        diff=choice.diff,
        forks=target.forks,
        json=output.json,
        plain=output.plain,
        verbosity=output.verbosity,
        yes=target.yes,
        **named,
    )
    raise typer.Exit(wire.run(options))
