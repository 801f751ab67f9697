"""`creates` and `removes`: whether a command is needed at all, asked in one round trip."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from nbops.actions.api import ActionContext
from nbops.actions.values import OptionalPath
from nbops.actions.words import expanded
from nbops.runbook.spec import Args

NO_FOLDER = "nbops: cannot enter the folder"


class ConditionArgs(Args):
    """The paths that make a command unnecessary."""

    creates: OptionalPath = Field(
        None, description="A path; when something is there, nothing is done."
    )
    removes: OptionalPath = Field(
        None, description="A path; when nothing is there, nothing is done."
    )

    @property
    def conditional(self) -> bool:
        """Whether there is anything to ask."""
        return self.creates is not None or self.removes is not None


def enter(chdir: str | None) -> str:
    """The words that change to the folder, or end the script saying `NO_FOLDER`.

    No line of their own: shells number the lines in what they complain of.
    """
    if chdir is None:
        return ""
    return f"cd -- {expanded(chdir)} 2>/dev/null || {{ echo '{NO_FOLDER}' >&2; exit 126; }}; "


def condition_script(
    args: ConditionArgs, word: Callable[[str], str], chdir: str | None = None
) -> str:
    """Prints `creates` or `removes`, whichever makes the command unnecessary.

    `word` writes a path for the host's shell: as a pattern, with variables, or as it is.
    """
    there = '{ [ -e "$1" ] || [ -L "$1" ]; }'
    lines = [enter(chdir)]
    if args.creates is not None:
        lines.append(f"set -- {word(args.creates)}; if {there}; then echo creates; exit; fi\n")
    if args.removes is not None:
        lines.append(f"set -- {word(args.removes)}; if ! {there}; then echo removes; fi\n")
    return "".join(lines) or ":"


def unneeded(args: ConditionArgs, word: Callable[[str], str], ctx: ActionContext) -> str:
    """`creates`, `removes`, or "" when the command is to run."""
    if not args.conditional:
        return ""
    return ctx.probe(condition_script(args, word)).out.strip()
