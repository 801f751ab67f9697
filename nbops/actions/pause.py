"""`pause`: wait a while, or for the operator."""

from __future__ import annotations

import os
import select
import sys
import time
from datetime import datetime
from typing import Any

from pydantic import Field, model_validator

from nbops.actions.api import ActionContext, Result
from nbops.actions.values import AnyText
from nbops.base.command import Effect
from nbops.runbook.spec import ActionSpec, Args

_LOOK = 0.2


class PauseArgs(Args):
    """The arguments of `pause`."""

    seconds: float | None = Field(None, description="How long to wait.", ge=0)
    minutes: float | None = Field(None, description="The same in minutes.", ge=0)
    prompt: AnyText | None = Field(None, description="What to ask on the terminal.")
    echo: bool = Field(True, description="Accepted for Ansible's sake: the terminal decides.")

    @model_validator(mode="after")
    def _one_time(self) -> PauseArgs:
        if self.seconds is not None and self.minutes is not None:
            raise ValueError("give either seconds or minutes")
        return self

    @property
    def duration(self) -> float | None:
        """Seconds to wait; None: until somebody presses Enter."""
        return self.minutes * 60 if self.minutes is not None else self.seconds


class PauseAction:
    """Waits on this side; hosts know nothing of it."""

    spec = ActionSpec(
        name="pause",
        args=PauseArgs,
        summary="Wait for a time, or until Enter is pressed on the terminal.",
        example="- pause:\n    seconds: 10\n",
        local=True,
        once=True,
        effect=Effect.NONE,
        returns={
            "delta": "Seconds waited.",
            "start": "When it began.",
            "stop": "When it ended.",
            "user_input": "What was typed.",
        },
    )

    def run(self, args: PauseArgs, ctx: ActionContext) -> Result:
        """Wait; without a terminal nobody is asked, and nothing is waited for."""
        start = datetime.now().astimezone().replace(tzinfo=None)
        begun = time.monotonic()
        typed = ""
        warnings: tuple[str, ...] = ()
        if args.duration is not None:
            ctx.stop.sleep(args.duration)
            waited = time.monotonic() - begun
            told = f"Paused for {round(waited, 2)} seconds"
            if args.minutes is not None:
                told = f"Paused for {round(waited / 60, 2)} minutes"
        elif sys.stdin is not None and sys.stdin.isatty():
            prompt = str(args.prompt or "")
            ctx.progress(prompt or "Press enter to continue, Ctrl+C to interrupt")
            typed = _line(sys.stdin.fileno(), ctx)
            told = f"Paused for {round((time.monotonic() - begun) / 60, 2)} minutes"
        else:
            told = "Paused for 0.0 minutes"
            warnings = ("Not waiting for response to prompt as stdin is not interactive",)
        values: dict[str, Any] = {
            "start": str(start),
            "stop": str(datetime.now().astimezone().replace(tzinfo=None)),
            "delta": int(time.monotonic() - begun),
            "stdout": told,
            "stderr": "",
            "rc": 0,
            "echo": args.echo,
            "user_input": typed,
        }
        return Result(values=values, warnings=warnings)


def _line(terminal: int, ctx: ActionContext) -> str:
    """A line from the terminal; raises Interrupted as soon as the run is stopped."""
    typed = b""
    while not typed.endswith(b"\n"):
        ctx.stop.check()
        ready, _, _ = select.select([terminal], [], [], _LOOK)
        if ready:
            more = os.read(terminal, 4096)
            if not more:
                break
            typed += more
    return typed.decode("utf-8", "replace").rstrip("\r\n")
