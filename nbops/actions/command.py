"""`command` and `shell`: a program with its arguments, or a line for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from nbops.actions.api import ActionContext, Result
from nbops.actions.conditions import NO_FOLDER, ConditionArgs, condition_script, enter
from nbops.actions.outcome import lines_of, plain_errors, ran
from nbops.actions.values import AnyText, Line, OptionalPath, to_line
from nbops.actions.words import expanded, globbed
from nbops.base.command import Outcome, join, quote
from nbops.base.secret import reveal
from nbops.runbook.spec import ActionSpec

_NO_PROGRAM = "nbops: no such program"
_NOT_ALLOWED = "nbops: not allowed to run this program"

# nb_find PROGRAM: ends the script with a line of its own when exec could not work, so that
# a program that itself ends with 127 is not taken for one that is missing.
_FIND = f"""nb_find() {{
case $1 in
*/*) [ -f "$1" ] && [ -x "$1" ] && return
[ ! -e "$1" ] || {{ echo '{_NOT_ALLOWED}' >&2; exit 126; }};;
*) IFS=:; set -f
for d in $PATH; do [ -f "${{d:-.}}/$1" ] && [ -x "${{d:-.}}/$1" ] && return; done;;
esac
echo '{_NO_PROGRAM}' >&2; exit 127
}}
"""

RETURNS = {
    "cmd": "The command, as a list (`command`) or a text (`shell`).",
    "rc": "Its exit status.",
    "stdout": "What it printed, without newlines at the end.",
    "stdout_lines": "The same in lines.",
    "stderr": "What it printed as errors.",
    "stderr_lines": "The same in lines.",
    "start": "When it began.",
    "end": "When it ended.",
    "delta": "How long it took.",
}


def _argv(value: Any) -> Any:
    return [to_line(part) for part in value] if isinstance(value, list | tuple) else value


class RunArgs(ConditionArgs):
    """What `command` and `shell` have in common."""

    chdir: OptionalPath = Field(None, description="Folder to run in.")
    creates: OptionalPath = Field(
        None, description="A path or pattern; when something is there, the command is not run."
    )
    removes: OptionalPath = Field(
        None, description="A path or pattern; when nothing is there, the command is not run."
    )
    stdin: AnyText | None = Field(None, description="Text for its standard input.")
    stdin_add_newline: bool = Field(True, description="End that text with a newline.")
    strip_empty_ends: bool = Field(True, description="Take empty lines off the ends of output.")

    def input(self) -> bytes | None:
        """The bytes for standard input; None when there are none."""
        if self.stdin is None:
            return None
        text = reveal(self.stdin) + ("\n" if self.stdin_add_newline else "")
        return text.encode("utf-8", "surrogateescape")


class CommandArgs(RunArgs):
    """The arguments of `command`."""

    cmd: Line | None = Field(None, description="The command to run.")
    argv: Annotated[list[Line], BeforeValidator(_argv)] | None = Field(
        None, description="The command as a list: nothing in it is split or quoted."
    )
    expand_argument_vars: bool = Field(
        True, description="Replace `$NAME` and a leading `~` in arguments on the host."
    )

    @model_validator(mode="after")
    def _one_command(self) -> CommandArgs:
        if (self.cmd is None) == (self.argv is None):
            raise ValueError("give either the command as a text (`cmd`) or as a list (`argv`)")
        if not self.words():
            raise ValueError("no command given")
        return self

    def words(self) -> list[str]:
        """The program and its arguments. Raises ValueError when a quote is not closed."""
        if self.argv is not None:
            return self.argv
        return shlex.split(self.cmd or "")


class ShellArgs(RunArgs):
    """The arguments of `shell`."""

    cmd: Line = Field(description="The line or lines for the shell.", min_length=1)
    executable: OptionalPath = Field(None, description="The shell that reads them (/bin/sh).")

    @property
    def shell(self) -> str:
        """The program that reads the lines."""
        return self.executable or "/bin/sh"


def command_script(words: Sequence[str], chdir: str | None, *, expand: bool) -> str:
    """The script that becomes the program."""
    on_host = [expanded(word) if expand else quote(word) for word in words]
    return f"{enter(chdir)}{_FIND}nb_find {on_host[0]}\nexec {' '.join(on_host)}\n"


def shell_script(cmd: str, chdir: str | None) -> str:
    """The script that the shell is given: nothing after the lines, so that a shell counts them
    as it would in an argument."""
    return enter(chdir) + cmd


class CommandAction:
    """Runs a program without a shell around it."""

    spec = ActionSpec(
        name="command",
        repeatable=False,
        args=CommandArgs,
        summary="Run a program with arguments; no shell, no pipes, no redirections.",
        example="- command: docker compose up -d\n  args:\n    chdir: /opt/nocobase\n",
        free_form="cmd",
        check="skipped, unless `creates` or `removes` is given",
        returns=RETURNS,
    )

    def run(self, args: CommandArgs, ctx: ActionContext) -> Result:
        """Run it, unless `creates` or `removes` says that there is no need."""
        words = args.words()
        early = not_run(args, words, ctx)
        if early:
            return early
        script = command_script(words, args.chdir, expand=args.expand_argument_vars)
        return conclude(args, words, ctx.act(script, stdin=args.input()))


class ShellAction:
    """Runs lines of a shell."""

    spec = ActionSpec(
        name="shell",
        repeatable=False,
        args=ShellArgs,
        summary="Run lines of a POSIX shell on the host.",
        example="- shell: pg_dump nocobase | gzip > /backup/nocobase.gz\n",
        free_form="cmd",
        check="skipped, unless `creates` or `removes` is given",
        returns=RETURNS,
    )

    def run(self, args: ShellArgs, ctx: ActionContext) -> Result:
        """Run them, unless `creates` or `removes` says that there is no need."""
        early = not_run(args, args.cmd, ctx)
        if early:
            return early
        script = shell_script(args.cmd, args.chdir)
        outcome = ctx.act(script, stdin=args.input(), shell=args.shell)
        return conclude(args, args.cmd, plain_errors(outcome, args.shell))


def not_run(args: RunArgs, cmd: Any, ctx: ActionContext) -> Result | None:
    """The result when the command need not or, in check mode, must not run; else None."""
    why = ""
    if args.conditional or (ctx.check and args.chdir is not None):
        told = ctx.probe(condition_script(args, globbed, args.chdir))
        if told.status == 126 and told.err.strip() == NO_FOLDER:
            return _never_began(cmd, None, "Unable to change directory before execution.")
        why = told.out.strip()
    silent = {
        "cmd": cmd,
        "rc": 0,
        "start": None,
        "end": None,
        "delta": None,
        **lines_of("stderr", ""),
    }
    if why:
        path, state = (
            (args.creates, "exists") if why == "creates" else (args.removes, "does not exist")
        )
        said = lines_of("stdout", f"skipped, since {path} {state}")
        would = "Would" if ctx.check else "Did"
        message = f"{would} not run command since '{path}' {state}"
        return Result(msg=message, values={**silent, **said})
    if ctx.check:
        return Result(
            changed=args.conditional,
            skipped=not args.conditional,
            msg="Command would have run if not in check mode",
            values={**silent, **lines_of("stdout", "")},
        )
    return None


def conclude(args: RunArgs, cmd: Any, outcome: Outcome) -> Result:
    """What came of a command that was sent, under Ansible's keys."""
    said = outcome.err.strip() if not outcome.stdout else ""
    if outcome.status == 126 and said == NO_FOLDER:
        return _never_began(cmd, None, "Unable to change directory before execution.")
    if (outcome.status, said) in {(127, _NO_PROGRAM), (126, _NOT_ALLOWED)}:
        shown = join(cmd) if isinstance(cmd, list) else cmd
        return _never_began(shown, 2 if said == _NO_PROGRAM else 13, "Error executing command.")
    message = "" if outcome.ok else "non-zero return code"
    values = {**ran(cmd, outcome, strip=args.strip_empty_ends), "msg": message}
    return Result(changed=True, failed=not outcome.ok, msg=message, values=values)


def _never_began(cmd: Any, status: int | None, message: str) -> Result:
    nothing = {**lines_of("stdout", ""), **lines_of("stderr", "")}
    return Result(failed=True, msg=message, values={"cmd": cmd, "rc": status, **nothing})
