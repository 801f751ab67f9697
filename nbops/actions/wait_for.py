"""`wait_for`: until a port answers or a file is there, or no longer."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from nbops.actions.api import ActionContext, Result
from nbops.actions.clock import rounds, stopwatch
from nbops.actions.outcome import must
from nbops.actions.paths import LOOK, Answer
from nbops.actions.values import AnyText, Path, Plain
from nbops.actions.words import expanded
from nbops.base.command import Effect, quote
from nbops.base.errors import ActionFailed
from nbops.runbook.spec import ActionSpec, Args

# How long one look may stay on the host before this side looks at the clock again.
_STAY = 2.0  # how long one look on the host lasts: a stopped run waits no longer
_NO_CLIENT = 66

# nb_open HOST PORT SECONDS: whether a connection can be had; bash or curl makes it.
_OPEN = f"""nb_open() {{
if command -v bash >/dev/null 2>&1; then
timeout "$3" bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
elif command -v curl >/dev/null 2>&1; then
curl -s -o /dev/null --connect-timeout "$3" -m "$3" "telnet://$1:$2" </dev/null; [ $? -ne 7 ]
else exit {_NO_CLIENT}; fi
}}
"""


class WaitForArgs(Args):
    """The arguments of `wait_for`. Times are in seconds."""

    host: Plain = Field("127.0.0.1", description="Where the port is, seen from the host.")
    port: int | None = Field(None, description="A TCP port.", ge=1, le=65535)
    path: Path | None = Field(None, description="A path on the host.")
    search_regex: Plain | None = Field(
        None, description="A pattern that the file, or what the port sends, must match."
    )
    state: Literal["absent", "present", "started", "stopped"] = Field(
        "started", description="There (`started`, `present`) or gone (`stopped`, `absent`)."
    )
    timeout: int = Field(300, description="How long to wait at most.", ge=0)
    delay: int = Field(0, description="How long to wait before the first look.", ge=0)
    sleep: int = Field(1, description="How long to wait between looks.", ge=0)
    connect_timeout: int = Field(5, description="How long one connection may take.", ge=1)
    msg: AnyText | None = Field(None, description="What to say when the time is over.")

    @field_validator("search_regex")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value.encode(), re.MULTILINE)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _one_thing(self) -> WaitForArgs:
        if self.port is not None and self.path is not None:
            raise ValueError("port and path parameter can not both be passed to wait_for")
        return self

    @property
    def gone(self) -> bool:
        """Whether it is to go away."""
        return self.state in {"absent", "stopped"}


def probe_script(args: WaitForArgs, stay: float) -> str:
    """Looks until it is as asked, for `stay` seconds; ends with 0 then, with 1 else."""
    if args.port is not None:
        check = f"nb_open {quote(args.host)} {args.port} {args.connect_timeout}"
        head = _OPEN
    else:
        check = '[ -e "$p" ]'
        head = f"p={expanded(args.path or '')}\n"
    wanted = f"! {check}" if args.gone else check
    return (
        f"{head}e=$(($(date +%s) + {int(stay)}))\nuntil {wanted}; do\n"
        f"[ $(date +%s) -lt $e ] || exit 1\nsleep {max(args.sleep, 1)}\ndone\n"
    )


def read_script(args: WaitForArgs) -> str:
    """Prints what the file holds or the port sends at once; ends with 1 when it cannot be had."""
    if args.port is not None:
        return (
            f"timeout {args.connect_timeout} bash -c "
            f"'exec 3<>\"/dev/tcp/$0/$1\" || exit 1; cat <&3' {quote(args.host)} {args.port} "
            "2>/dev/null; s=$?; [ $s -eq 124 ] || exit $s\n"
        )
    return f'p={expanded(args.path or "")}\n[ -e "$p" ] || exit 1\ncat < "$p"\n'


class WaitForAction:
    """Waits, by short looks, so that a lost connection costs nothing."""

    spec = ActionSpec(
        name="wait_for",
        args=WaitForArgs,
        summary="Wait until a port answers or a path is there, or until it is gone.",
        example="- wait_for:\n    port: 5432\n    timeout: 60\n",
        effect=Effect.NONE,
        check="skipped",
        returns={
            "elapsed": "Seconds waited.",
            "match_groups": "Groups of `search_regex`.",
            "match_groupdict": "Its named groups.",
        },
    )

    def run(self, args: WaitForArgs, ctx: ActionContext) -> Result:
        """Wait. Fails when the time is over."""
        if ctx.check:
            return Result(skipped=True, msg="remote module (wait_for) does not support check mode")
        elapsed = stopwatch()
        ctx.stop.sleep(args.delay)
        found = self._wait(args, ctx)
        if found is None:
            return _over(args, elapsed())
        values: dict[str, Any] = {
            "elapsed": elapsed(),
            "port": args.port,
            "search_regex": args.search_regex,
            "state": args.state,
            "path": args.path,
            **found,
        }
        if args.path is not None:
            script = f'{LOOK}p={expanded(args.path)}\nprintf \'%s\\0\' "$p"; nb_look "$p"\n'
            answer = Answer(must(ctx.probe(script), f"looking at {args.path}").stdout)
            state = answer.state(answer.text())
            values |= {"path": state.path, **state.attributes()}
        return Result(values=values)

    def _wait(self, args: WaitForArgs, ctx: ActionContext) -> dict[str, Any] | None:
        nothing: dict[str, Any] = {"match_groups": [], "match_groupdict": {}}
        if args.port is None and args.path is None:
            ctx.stop.sleep(max(args.timeout - args.delay, 0))
            return nothing
        for deadline in rounds(max(args.timeout - args.delay, 0), max(args.sleep, 1), ctx.stop):
            if args.search_regex is not None:
                match = self._search(args, args.search_regex, ctx)
                if (match is None) == args.gone:
                    return nothing if match is None else match
                continue
            ctx.progress(f"waiting for {_where(args)}")
            stay = min(_STAY, deadline.left)
            outcome = ctx.probe(probe_script(args, stay))
            if outcome.status == _NO_CLIENT:
                raise ActionFailed(
                    "wait_for a port needs bash or curl on the host", hint="install one of them"
                )
            if outcome.ok:
                return nothing
        return None

    @staticmethod
    def _search(args: WaitForArgs, pattern: str, ctx: ActionContext) -> dict[str, Any] | None:
        outcome = ctx.probe(read_script(args))
        if not outcome.ok:
            return None
        match = re.search(pattern, outcome.out, re.MULTILINE)
        if match is None:
            return None
        return {"match_groups": list(match.groups()), "match_groupdict": match.groupdict()}


def _over(args: WaitForArgs, elapsed: int) -> Result:
    message = args.msg or _told(args)
    return Result(failed=True, values={"msg": message, "elapsed": elapsed})


def _where(args: WaitForArgs) -> str:
    return args.path if args.path is not None else f"{args.host}:{args.port}"


def _told(args: WaitForArgs) -> str:
    where = _where(args)
    if args.gone:
        what = "to stop" if args.port is not None else "to be absent"
        return f"Timeout when waiting for {where} {what}."
    if args.search_regex is not None:
        return f"Timeout when waiting for search string {args.search_regex} in {where}"
    return f"Timeout when waiting for {'file ' if args.path is not None else ''}{where}"
