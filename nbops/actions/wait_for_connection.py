"""`wait_for_connection`: until a host can be reached (again)."""

from __future__ import annotations

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.clock import rounds, stopwatch
from nbops.base.command import Effect
from nbops.base.errors import ConnectionLost, DeadlineExceeded, HostFault, HostUnusable
from nbops.runbook.spec import ActionSpec, Args


class WaitForConnectionArgs(Args):
    """The arguments of `wait_for_connection`. Times are in seconds."""

    timeout: int = Field(600, description="How long to wait at most.", ge=0)
    delay: int = Field(0, description="How long to wait before the first try.", ge=0)
    sleep: int = Field(1, description="How long to wait between tries.", ge=0)
    connect_timeout: int = Field(5, description="How long one answer may take.", ge=1)


class WaitForConnectionAction:
    """Tries until the host's shell answers."""

    spec = ActionSpec(
        name="wait_for_connection",
        args=WaitForConnectionArgs,
        summary="Wait until the host can be reached, as after a restart.",
        example="- wait_for_connection:\n    delay: 10\n    timeout: 120\n",
        effect=Effect.NONE,
        check="skipped",
        returns={"elapsed": "Seconds waited."},
    )

    def run(self, args: WaitForConnectionArgs, ctx: ActionContext) -> Result:
        """Wait. Fails when the time is over; a refused key or host key fails at once."""
        if ctx.check:
            return Result(skipped=True)
        elapsed = stopwatch()
        ctx.stop.sleep(args.delay)
        reason = ""
        for _ in rounds(max(args.timeout - args.delay, 0), max(args.sleep, 1), ctx.stop):
            try:
                if ctx.probe(":\n", deadline=args.connect_timeout).ok:
                    return Result(values={"elapsed": elapsed()})
            except HostUnusable as error:
                if error.fault is not HostFault.UNREACHABLE:
                    raise
                reason = str(error)
            except (ConnectionLost, DeadlineExceeded) as error:
                reason = str(error)
            ctx.progress("waiting for the connection")
        message = f"timed out waiting for ping module test: {reason}"
        return Result(failed=True, msg=message, values={"elapsed": elapsed()})
