"""The command line: all commands, and the one place where an error becomes an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from nbops import __version__
from nbops.base.errors import NbopsError, UsageError, local_fault
from nbops.cli import (
    again,
    backup,
    begin,
    check,
    execute,
    lab,
    language,
    lock,
    logs,
    maintenance,
    nodes,
    past,
    plugin,
    releases,
    run,
    show,
    status,
    upgrade,
)

INTERRUPTED = 130

app = typer.Typer(
    name="nbops",
    help="Runs a NocoBase cluster from one terminal: deploys it and keeps it running.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or refused, 3 rolled back, "
    "4 hosts cannot be used, 5 locked, 6 the way back failed too, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
begin.add_to(app)
check.add_to(app)
run.add_to(app)
upgrade.add_to(app)
again.add_to(app)
maintenance.add_to(app)
nodes.add_to(app)
backup.add_to(app)
status.add_to(app)
releases.add_to(app)
logs.add_to(app)
plugin.add_to(app)
execute.add_to(app)
lock.add_to(app)
past.add_to(app)
language.add_to(app)
lab.add_to(app)


def _version(asked: bool) -> None:
    if asked:
        show.text(f"nbops {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    del version


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that `argv` (default: the process's own arguments) names, and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for terminals that know few letters
    arguments = list(sys.argv[1:] if argv is None else argv)
    code = call(arguments)
    _let_go()
    sys.exit(code)


def call(arguments: Sequence[str]) -> int:
    """Run a command; gives its exit code. Errors have been shown."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json = "--json" in own
    try:
        code = app(args=list(arguments), prog_name="nbops", standalone_mode=False)
    except NbopsError as fault:
        show.error(fault, as_json=as_json)
        return fault.exit_code
    except typer.TyperException as fault:
        if fault.format_message().startswith("Usage: "):  # a group of commands, and none named
            show.text(fault.format_message())
            return UsageError.exit_code
        show.error(_usage(fault), as_json=as_json)
        return UsageError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as fault:  # noqa: BLE001  the last place where anything can be said
        return _unforeseen(fault, own, as_json=as_json)
    return code if isinstance(code, int) else 0


def _unforeseen(fault: Exception, arguments: Sequence[str], *, as_json: bool) -> int:
    """A file that one may not read, or a bug."""
    if isinstance(fault, OSError) and (local := local_fault(fault)):
        show.error(UsageError(local), as_json=as_json)
        return UsageError.exit_code
    verbose = any(one in {"-v", "-vv", "--verbose"} for one in arguments)
    show.bug(fault, verbose=verbose, as_json=as_json)
    return 1


def _usage(fault: typer.TyperException) -> UsageError:
    context = getattr(fault, "ctx", None)
    hint = f"`{context.command_path} --help` says what it takes" if context else None
    return UsageError(fault.format_message().replace("Value error, ", ""), hint=hint)


def _let_go() -> None:
    """A reader that went away is no error: nothing more is written to it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
