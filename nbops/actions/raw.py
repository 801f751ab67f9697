"""`raw`: a line in the host's shell stream, as it is, without a job around it."""

from __future__ import annotations

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.outcome import lines_of, plain_errors
from nbops.actions.values import Line, OptionalPath
from nbops.actions.words import expanded
from nbops.base.command import Effect, quote
from nbops.runbook.spec import ActionSpec, Args


class RawArgs(Args):
    """The arguments of `raw`."""

    cmd: Line = Field(description="The line to run.", min_length=1)
    executable: OptionalPath = Field(None, description="Another shell, which is given the line.")


class RawAction:
    """Runs a line straight in the host's shell stream."""

    spec = ActionSpec(
        name="raw",
        args=RawArgs,
        summary="Run a line straight in the host's shell, without `environment`; nothing remembers "
        "that it ran.",
        example="- raw: uptime\n",
        free_form="cmd",
        effect=Effect.NONE,
        check="skipped",
        environment=False,
        returns={
            "rc": "Exit status.",
            "stdout": "What it printed.",
            "stdout_lines": "The same in lines.",
            "stderr": "What it printed as errors.",
            "stderr_lines": "The same in lines.",
        },
    )

    def run(self, args: RawArgs, ctx: ActionContext) -> Result:
        """Run it; nothing in check mode."""
        if ctx.check:
            return Result(skipped=True)
        script = args.cmd
        if args.executable is not None:
            script = f"exec {expanded(args.executable)} -c {quote(args.cmd)}"
        outcome = plain_errors(ctx.probe(script), "/bin/sh")
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
