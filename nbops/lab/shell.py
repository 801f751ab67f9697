"""Running the box's own programs: a list of arguments, a deadline, a clear error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from nbops.base.errors import LabError

LAST_LINES = 12


def run(
    argv: Sequence[str | Path],
    *,
    deadline: float = 30,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> str:
    """Run a program to its end and return what it wrote, output and errors together.

    `deadline` is in seconds; `env` is added to the environment of this process; `log`
    takes the output instead (appended), and then nothing is returned.

    The program ends when this process does, even by `kill -9`; its children only when it
    is `tied`. Raises LabError with its last lines when it fails, is not there, or is not
    done in time (it is then killed).
    """
    words = [str(word) for word in argv]
    bound = [*("setpriv", "--pdeathsig", "KILL", "--"), *words]
    try:
        if log is None:
            done = _finish(bound, subprocess.PIPE, stdin, env, deadline)
            output = done.stdout or ""
        else:
            with log.open("a", encoding="utf-8") as sink:
                done = _finish(bound, sink, stdin, env, deadline)
            output = ""
    except FileNotFoundError as error:
        raise LabError("setpriv is not on this machine: it comes with util-linux") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{words[0]} was not done after {deadline:g} s") from error
    if done.returncode != 0:
        told = output or (log.read_text(encoding="utf-8", errors="replace") if log else "")
        raise LabError(
            f"{words[0]} failed with status {done.returncode}: {last_lines(told)}",
            hint=f"everything it said is in {log}" if log else None,
        )
    return output


def tied(argv: Sequence[str | Path]) -> list[str]:
    """`argv` so that all its children and mounts end when it does, by `run` or by itself.

    It gets a mount and a process namespace of its own.
    """
    return [
        *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"),
        *("--mount-proc", "--"),
        *(str(word) for word in argv),
    ]


def last_lines(text: str, count: int = LAST_LINES) -> str:
    """The last `count` lines of `text` that say something."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "it said nothing"


def _finish(
    words: list[str],
    output: int | IO[str],
    stdin: str | None,
    env: Mapping[str, str] | None,
    deadline: float,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        stdout=output,
        stderr=subprocess.STDOUT,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        encoding="utf-8",
        errors="replace",
        timeout=deadline,
        check=False,
    )
