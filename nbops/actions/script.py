"""`script`: a script of the runbook's, run on the host."""

from __future__ import annotations

import posixpath
import re
import shlex

from pydantic import Field, field_validator

from nbops.actions.api import ActionContext, Result
from nbops.actions.conditions import ConditionArgs, unneeded
from nbops.actions.outcome import lines_of, plain_errors
from nbops.actions.values import Line, OptionalPath, Plain
from nbops.base.command import quote
from nbops.runbook.spec import ActionSpec

_FIRST = re.compile(r"""\s*((?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+)""", re.DOTALL)


class ScriptArgs(ConditionArgs):
    """The arguments of `script`."""

    cmd: Line = Field(
        description="The file, then its arguments as a shell reads them.",
        json_schema_extra={"file": "files"},
    )
    executable: Plain | None = Field(None, description="The program that reads the script.")
    chdir: OptionalPath = Field(None, description="Folder to run in, from the root on.")

    @field_validator("cmd")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        split(value)
        return value

    @field_validator("chdir")
    @classmethod
    def _from_the_root(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("/"):
            raise ValueError(f"chdir {value} must be an absolute path")
        return value


def split(cmd: str) -> tuple[str, str]:
    """The script's name, and its arguments as they were written.

    Raises ValueError when there is no name or a quote is not closed.
    """
    match = _FIRST.match(cmd)
    if not match:
        raise ValueError("no script given")
    return "".join(shlex.split(match[1])), cmd[match.end() :].strip()


def script_text(staged: str, name: str, arguments: str, args: ScriptArgs) -> str:
    """The lines that run the staged file under the name that it has here.

    It comes to its name by a rename: under two names of one machine the same script may be put
    there while the other one runs, and what is open to be written cannot be run.
    """
    path = f"{staged}.d/{name}"
    new = f"{quote(path)}.$$"
    start = f"mkdir -p -- {quote(staged)}.d && cp -- {quote(staged)} {new} && "
    if args.executable is None:
        start += f"chmod u+x -- {new} && "
    start += f"mv -f -- {new} {quote(path)} && "
    if args.chdir is not None:
        start += f"cd {quote(args.chdir)} && "
    program = f"{args.executable} {quote(path)}" if args.executable else quote(path)
    return f"{start}{program} {arguments}"


class ScriptAction:
    """Sends a script and runs it."""

    spec = ActionSpec(
        name="script",
        repeatable=False,
        args=ScriptArgs,
        summary="Run a script that stands beside the runbook on the host.",
        example="- script: tune-kernel.sh --dry-run\n",
        free_form="cmd",
        check="skipped, unless `creates` or `removes` is given",
        returns={
            "rc": "Exit status.",
            "stdout": "What it printed.",
            "stdout_lines": "The same in lines.",
            "stderr": "What it printed as errors.",
            "stderr_lines": "The same in lines.",
        },
    )

    def run(self, args: ScriptArgs, ctx: ActionContext) -> Result:
        """Run it, unless `creates` or `removes` says that there is no need."""
        name, arguments = split(args.cmd)
        # As it is written: only `command` and `shell` take patterns and variables here.
        why = unneeded(args, quote, ctx)
        if why == "creates":
            return Result(skipped=True, msg=f"{args.creates} exists, matching creates option")
        if why == "removes":
            return Result(
                skipped=True, msg=f"{args.removes} does not exist, matching removes option"
            )
        source = ctx.find(name, "files")
        if ctx.check:
            return Result(changed=args.conditional, skipped=not args.conditional)
        text = script_text(ctx.stage(source), posixpath.basename(name), arguments, args)
        outcome = plain_errors(ctx.act(text), "/bin/sh")
        return Result(
            changed=True,
            failed=not outcome.ok,
            msg="" if outcome.ok else "non-zero return code",
            values={
                "rc": outcome.status,
                **lines_of("stdout", outcome.out),
                **lines_of("stderr", outcome.err),
            },
        )
