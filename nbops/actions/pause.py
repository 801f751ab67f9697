"""`pause`: wait a while, or for the operator."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from nbops.actions.api import ActionContext, Result
from nbops.actions.values import AnyText
from nbops.base.command import Effect
from nbops.base.events import Question
from nbops.runbook.spec import ActionSpec, Args

_LOOK = 0.2
_ENTER = "Press enter to continue, Ctrl+C to interrupt"


def _whole(value: Any) -> Any:
    """Parts of a second are left out, as Ansible does."""
    return int(value) if isinstance(value, float) else value


Whole = Annotated[int, BeforeValidator(_whole)]


class PauseArgs(Args):
    """The arguments of `pause`."""

    seconds: Whole | None = Field(None, description="How long to wait; at least one.")
    minutes: Whole | None = Field(None, description="The same in minutes.")
    prompt: AnyText | None = Field(None, description="What to ask on the terminal.")
    echo: bool = Field(True, description="Show what is typed.")

    @model_validator(mode="after")
    def _one_time(self) -> PauseArgs:
        if self.seconds is not None and self.minutes is not None:
            raise ValueError("give either seconds or minutes")
        return self

    @property
    def duration(self) -> int | None:
        """Seconds to wait; None: until somebody presses Enter."""
        seconds = self.minutes * 60 if self.minutes is not None else self.seconds
        return None if seconds is None else max(1, seconds)


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
        """Wait; without a terminal, or with `--yes`, nobody is asked and nothing waited for."""
        start = datetime.now().astimezone().replace(tzinfo=None)
        begun = time.monotonic()
        typed = ""
        warnings: tuple[str, ...] = ()
        if args.duration is not None:
            if args.prompt:
                ctx.progress(str(args.prompt))
            ctx.stop.sleep(args.duration)
            waited = time.monotonic() - begun
            told = f"Paused for {round(waited, 2)} seconds"
            if args.minutes is not None:
                told = f"Paused for {round(waited / 60, 2)} minutes"
        elif ctx.evaluate("nbops_assume_yes | default(false)"):
            told = "Paused for 0.0 minutes"
            warnings = (f"`--yes`: nobody was asked: {args.prompt or _ENTER}",)
        elif _is_terminal():
            question = str(args.prompt or _ENTER)
            ctx.emit(Question(text=question, host=ctx.host))
            try:
                with _typing(sys.stdin.fileno(), echo=args.echo):
                    typed = _line(sys.stdin.fileno(), ctx)
            finally:
                ctx.emit(Question(text=question, host=ctx.host, answered=True))
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


def _is_terminal() -> bool:
    """Whether somebody can read a question and answer it."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


@contextmanager
def _typing(terminal: int, *, echo: bool) -> Iterator[None]:
    """What was typed before the question is no answer; what is typed is shown, or not."""
    termios.tcflush(terminal, termios.TCIFLUSH)
    before = termios.tcgetattr(terminal)
    if not echo:
        hidden = list(before)
        hidden[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, hidden)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


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
