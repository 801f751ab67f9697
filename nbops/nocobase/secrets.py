"""Where secrets come from: an environment variable, a file, or a command of this computer.

They are read only by what connects to hosts; nothing here is run by loading an inventory.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbops.base.paths import open_to_everyone
from nbops.base.secret import Secret

COMMAND_DEADLINE = 30.0
_LARGEST = 64 * 1024


class SecretProblem(Exception):
    """Why a secret cannot be had, and what to do about it. Never holds a value."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Reader:
    """Reads secrets: paths are relative to `base`, commands run there.

    `environ` are the variables of this computer; `deadline` is in seconds, for commands.
    """

    base: Path
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    deadline: float = COMMAND_DEADLINE

    def variable(self, name: str) -> Secret:
        """The value of an environment variable. Raises SecretProblem when there is none."""
        value = self.environ.get(name)
        if not value:
            state = "is empty" if value == "" else "is not set"
            raise SecretProblem(
                f"the environment variable `{name}` {state}",
                f"`export {name}=…` in this shell, or name another source",
            )
        return _checked(value, f"the environment variable `{name}`")

    def file(self, name: str) -> Secret:
        """The content of a file, without the line break at its end.

        Raises SecretProblem when it is not there, is empty, or others may read it.
        """
        path = self.base / Path(name).expanduser()
        try:
            # Not to wait for a pipe that nobody writes to.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as opened:
                found = os.fstat(opened.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise SecretProblem(f"{path}: not a file")
                if open_to_everyone(found):
                    raise SecretProblem(
                        f"{path}: everyone on this computer can read or write it",
                        f"`chmod 600 {shlex.quote(str(path))}`",
                    )
                raw = opened.read(_LARGEST + 1)
        except FileNotFoundError:
            raise SecretProblem(
                f"{path}: no such file",
                "paths are relative to the inventory's folder; `nbops init` makes the files, or: "
                f"`(umask 077; openssl rand -hex 32 > {shlex.quote(str(path))})`",
            ) from None
        except IsADirectoryError:
            raise SecretProblem(f"{path}: is a folder, not a file") from None
        except OSError as error:
            raise SecretProblem(f"{path}: {error.strerror or error}") from None
        return _checked(_decoded(raw, str(path)), str(path))

    def command(self, command: str | Sequence[str]) -> Secret:
        """What a command prints, without the line break at its end; no shell is involved.

        Raises SecretProblem when it cannot be run, fails, prints nothing, or is not done at
        the deadline: it is killed then with all that it began.
        """
        argv = _words(command)
        name = f"the command `{argv[0]}`"
        try:
            process = subprocess.Popen(
                argv,
                cwd=self.base,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise SecretProblem(
                f"{name} cannot be run: {error.strerror or error}",
                "give its full path, or install it",
            ) from None
        try:
            out, err = process.communicate(timeout=self.deadline)
        except subprocess.TimeoutExpired:
            raise SecretProblem(
                f"{name} was not done after {self.deadline:g} s and was killed",
                "it must not ask anything: unlock the password store first",
            ) from None
        finally:
            _end(process)
        if process.returncode != 0:
            said = _first_line(err)
            raise SecretProblem(
                f"{name} failed with status {process.returncode}" + (f": {said}" if said else ""),
                f"run it by hand: {shlex.join(argv)}",
            )
        return _checked(_decoded(out, name), name)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command that is not done, with its process group.

    One that is done is left alone: its number may be another's by now.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _words(command: str | Sequence[str]) -> list[str]:
    try:
        argv = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise SecretProblem(f"the command cannot be split into words: {error}") from None
    if not argv:
        raise SecretProblem("the command is empty")
    return argv


def _decoded(raw: bytes, name: str) -> str:
    if len(raw) > _LARGEST:
        raise SecretProblem(f"{name}: more than {_LARGEST} bytes are no secret")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretProblem(f"{name}: not UTF-8 text") from None


def _checked(text: str, name: str) -> Secret:
    value = text.removesuffix("\n").removesuffix("\r")
    if not value.strip():
        raise SecretProblem(f"{name} is empty")
    if any(sign in value for sign in "\n\r\0"):
        raise SecretProblem(
            f"{name}: more than one line", "a secret is one line; the first is not taken for it"
        )
    return Secret(value)


def _first_line(raw: bytes) -> str:
    lines = raw.decode("utf-8", "replace").strip().splitlines()
    clean = "".join(sign if sign.isprintable() else "?" for sign in lines[0]) if lines else ""
    return clean[:200]
