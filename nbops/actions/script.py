"""`script`: a script of the runbook's, run on the host."""

from __future__ import annotations

import re
import shlex

from pydantic import Field, field_validator

from nbops.actions.api import ActionContext, Result
from nbops.actions.conditions import NO_FOLDER, ConditionArgs, enter, unneeded
from nbops.actions.outcome import failed, lines_of
from nbops.actions.values import AnyText, Plain
from nbops.actions.words import compose, quoted
from nbops.base.command import Text
from nbops.base.secret import Secret, reveal
from nbops.runbook.spec import ActionSpec

_FIRST = re.compile(r"""\s*((?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+)""", re.DOTALL)


class ScriptArgs(ConditionArgs):
    """The arguments of `script`."""

    cmd: AnyText = Field(description="The file, then its arguments as a shell reads them.")
    executable: Plain | None = Field(None, description="The program that reads the script.")

    @field_validator("cmd")
    @classmethod
    def _names_a_file(cls, value: Text) -> Text:
        split(value)
        return value


def split(cmd: Text) -> tuple[str, Text]:
    """The script's name, and its arguments as they were written.

    Raises ValueError when there is no name or a quote is not closed.
    """
    match = _FIRST.match(reveal(cmd))
    if not match:
        raise ValueError("no script given")
    name = "".join(shlex.split(match[1]))
    rest = reveal(cmd)[match.end() :].strip()
    return name, Secret(rest) if isinstance(cmd, Secret) else rest


def script_text(staged: str, arguments: Text, args: ScriptArgs) -> Text:
    """The lines that run the staged file."""
    path = quoted(staged)
    start: Text = f"chmod u+x -- {path}\n" if args.executable is None else ""
    program = f"{args.executable} {path}" if args.executable else path
    return compose(start, enter(args.chdir), "exec ", program, " ", arguments, "\n")


class ScriptAction:
    """Sends a script and runs it."""

    spec = ActionSpec(
        name="script",
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
        source = ctx.find(name, "files")
        why = unneeded(args, ctx)
        if why == "creates":
            return Result(skipped=True, msg=f"{args.creates} exists, matching creates option")
        if why == "removes":
            return Result(
                skipped=True, msg=f"{args.removes} does not exist, matching removes option"
            )
        if ctx.check:
            return Result(changed=args.conditional, skipped=not args.conditional)
        outcome = ctx.act(script_text(ctx.stage(source), arguments, args))
        if outcome.status == 126 and outcome.err.strip() == NO_FOLDER:
            return failed(f"the folder {args.chdir} does not exist", rc=outcome.status)
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
