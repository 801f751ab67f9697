"""`python -m nbops.lab up|down|status|ssh`: the lab before there is a command line for it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from nbops.base.errors import NbopsError
from nbops.base.events import Event, Note
from nbops.lab.events import LabStep
from nbops.lab.lab import Lab, list_labs


def main() -> int:
    """Read the arguments, do it, say what happens."""
    parser = argparse.ArgumentParser(prog="python -m nbops.lab")
    parser.add_argument("what", choices=("up", "down", "status", "ssh"))
    parser.add_argument("--name", default="lab")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--app", default="nocobase")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("words", nargs="*")
    options = parser.parse_intermixed_args()
    try:
        return _do(options)
    except NbopsError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n" + (f"hint: {problem.hint}\n" if problem.hint else ""))
        return error.exit_code


def _do(options: argparse.Namespace) -> int:
    if options.what == "down" and options.all:
        for name in list_labs():
            Lab(name, _show).down()
        return 0
    lab = Lab(options.name, _show)
    if options.what == "ssh":
        return lab.ssh(options.words[0], options.words[1:])
    if options.what == "up":
        sys.stdout.write(f"{lab.up(options.nodes, options.app)}\n")
    elif options.what == "down":
        lab.down()
    else:
        sys.stdout.write(json.dumps(asdict(lab.status()), indent=2) + "\n")
    return 0


def _show(event: Event) -> None:
    if isinstance(event, LabStep):
        took = f" ({event.seconds:.1f} s)" if event.seconds else ""
        sys.stderr.write(f"{event.name}: {event.message}{took}\n")
    elif isinstance(event, Note):
        sys.stderr.write(f"{event.level}: {event.message}\n")


if __name__ == "__main__":
    sys.exit(main())
