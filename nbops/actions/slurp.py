"""`slurp`: the content of a file on the host."""

from __future__ import annotations

import base64

from pydantic import AliasChoices, Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.outcome import failed
from nbops.actions.values import Path
from nbops.actions.words import expanded
from nbops.base.command import Effect
from nbops.runbook.spec import ActionSpec, Args


class SlurpArgs(Args):
    """The arguments of `slurp`."""

    src: Path = Field(description="The file.", validation_alias=AliasChoices("src", "path"))


def probe_script(src: str) -> str:
    """Prints the path, a NUL and the content in base64; ends with 1, 2 or 3 when it cannot."""
    return (
        f'p={expanded(src)}\n[ -e "$p" ] || exit 1\n[ ! -d "$p" ] || exit 2\n'
        '[ -r "$p" ] || exit 3\nprintf \'%s\\0\' "$p"; base64 -w 0 < "$p"\n'
    )


class SlurpAction:
    """Reads a file on the host."""

    spec = ActionSpec(
        name="slurp",
        args=SlurpArgs,
        summary="Read a file on the host.",
        example="- slurp:\n    src: /etc/machine-id\n  register: machine\n"
        '- debug:\n    msg: "{{ machine.content | b64decode }}"\n',
        effect=Effect.NONE,
        returns={
            "content": "The content in base64.",
            "encoding": "`base64`.",
            "source": "The file's path.",
        },
    )

    def run(self, args: SlurpArgs, ctx: ActionContext) -> Result:
        """One round trip."""
        outcome = ctx.probe(probe_script(args.src))
        match outcome.status:
            case 0:
                path, _, text = outcome.stdout.partition(b"\0")
            case 1:
                return failed(f"File not found: {args.src}")
            case 2:
                return failed(f"Source is a directory and must be a file: {args.src}")
            case 3:
                return failed(f"File is not readable: {args.src}")
            case _:
                return failed(f"cannot read {args.src}: {outcome.err.strip()}")
        content = base64.b64encode(base64.b64decode(text)).decode()
        source = path.decode("utf-8", "surrogateescape")
        return Result(values={"content": content, "encoding": "base64", "source": source})
