"""`creates` and `removes`: whether a command is needed at all, asked in one round trip."""

from __future__ import annotations

from pydantic import Field

from nbops.actions.api import ActionContext
from nbops.actions.values import Path
from nbops.actions.words import expanded, globbed
from nbops.runbook.spec import Args

NO_FOLDER = "nbops: cannot enter the folder"


class ConditionArgs(Args):
    """Where a command runs, and the paths that make it unnecessary."""

    chdir: Path | None = Field(None, description="Folder to run in.")
    creates: Path | None = Field(
        None, description="A path or pattern; when something is there, the command is not run."
    )
    removes: Path | None = Field(
        None, description="A path or pattern; when nothing is there, the command is not run."
    )

    @property
    def conditional(self) -> bool:
        """Whether there is anything to ask."""
        return self.creates is not None or self.removes is not None


def enter(chdir: str | None) -> str:
    """The line that changes to the folder, or ends the script saying `NO_FOLDER`."""
    if chdir is None:
        return ""
    return f"cd -- {expanded(chdir)} 2>/dev/null || {{ echo '{NO_FOLDER}' >&2; exit 126; }}\n"


def condition_script(args: ConditionArgs) -> str:
    """Prints `creates` or `removes`, whichever makes the command unnecessary."""
    there = '{ [ -e "$1" ] || [ -L "$1" ]; }'
    lines = [enter(args.chdir)]
    if args.creates is not None:
        lines.append(f"set -- {globbed(args.creates)}; if {there}; then echo creates; exit; fi\n")
    if args.removes is not None:
        lines.append(f"set -- {globbed(args.removes)}; if ! {there}; then echo removes; fi\n")
    return "".join(lines)


def unneeded(args: ConditionArgs, ctx: ActionContext) -> str:
    """`creates`, `removes`, or "" when the command is to run."""
    if not args.conditional:
        return ""
    return ctx.probe(condition_script(args)).out.strip()
