"""Commands about past runs, read from this user's journal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nbops.base.errors import UsageError
from nbops.cli import show
from nbops.cli.options import Output, expand
from nbops.report.lines import duration

if TYPE_CHECKING:
    from nbops.journal.read import PastRun

_ENDS = {
    0: "done",
    1: "failed",
    2: "refused",
    3: "rolled back",
    4: "hosts not usable",
    5: "locked",
    6: "way back failed",
    130: "interrupted",
}


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Example: nbops history --cluster main")(expand(history))
    app.command("show", epilog="Example: nbops show 20261123")(expand(show_run))
    app.command(
        epilog="Examples: nbops report; nbops report 20261123 -o upgrade.html; nbops report -o -"
    )(expand(report))


def history(
    output: Output,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="Only of this cluster.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, metavar="N", help="How many.")] = 20,
) -> None:
    """The runs from this computer, the latest first."""
    from nbops.journal import read
    from nbops.journal.store import journal_path

    runs = read.history(journal_path(), cluster=cluster, most=most)
    if output.json:
        show.document([one.as_dict() for one in runs])
    elif not runs:
        show.text(f"no run of cluster {cluster}" if cluster else "no run yet")
    else:
        rows = [
            (one.run, one.command, one.cluster or "-", _when(one), _took(one), end(one))
            for one in runs
        ]
        show.table(("RUN", "COMMAND", "CLUSTER", "BEGAN", "TOOK", "END"), rows)


def show_run(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its name, or the beginning of it.")],
    output: Output,
) -> None:
    """One past run, as it was shown; with -v by the minute."""
    from nbops.journal import read
    from nbops.journal.store import journal_path
    from nbops.report.choose import recorded
    from nbops.report.replay import replay

    path = journal_path()
    past = read.find_run(path, run)
    observer = recorded(json=output.json, verbosity=output.verbosity)
    for event in replay(read.events(path, past.run)):
        observer.on_event(event)
    observer.close()
    if past.message and past.exit_code and not output.json:
        show.text(past.message)
    if past.ended_at is None and not output.json:
        show.text(f"{past.run}: no end is recorded; it runs still, or was killed")


def report(
    output: Output,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Its name, or the beginning of it.",
            show_default="the latest one",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Where to; - is standard output.",
            show_default="report-RUN.html",
        ),
    ] = None,
) -> None:
    """One past run as a web page: a file that needs nothing beside itself."""
    from nbops.journal import read
    from nbops.journal.store import journal_path
    from nbops.report import html
    from nbops.report.file import write_report
    from nbops.report.replay import replay

    if output.json and file == Path("-"):
        raise UsageError(
            "-o - and --json both want standard output",
            hint="`nbops show RUN --json` gives a run as data",
        )
    path = journal_path()
    past = read.find_run(path, run) if run else read.latest_run(path)
    events = replay(read.events(path, past.run))
    page = html.page(past, events, not_undone=read.not_undone(path, past.run))
    if file == Path("-"):
        show.whole(page)
        return
    written = write_report(file or Path(f"report-{past.run}.html"), page)
    if output.json:
        show.document({"run": past.run, "file": written})
    else:
        show.text(str(written))


def end(run: PastRun) -> str:
    """How a run ended, in a word or two."""
    if run.exit_code is None:
        return "not ended"
    return _ENDS.get(run.exit_code, f"exit {run.exit_code}")


def _when(run: PastRun) -> str:
    return f"{datetime.fromtimestamp(run.started_at).astimezone():%Y-%m-%d %H:%M:%S}"


def _took(run: PastRun) -> str:
    return "-" if run.ended_at is None else duration(run.ended_at - run.started_at)
