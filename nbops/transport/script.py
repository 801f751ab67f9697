"""What a host's shell is told, as text. Pure, no I/O.

`prelude` defines the shell functions of `shell.py` once a stream; every request after
it is a few lines that call one of them. A request ends with the mark on both outputs.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from nbops.base.command import Command, Text, quote
from nbops.base.errors import ActionFailed
from nbops.base.ids import file_name
from nbops.base.secret import reveal
from nbops.transport.session import Fence
from nbops.transport.shell import FUNCTIONS, RUNNER

SAFE_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_POSIX_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"})
_LONGEST_NAME = 200
_FIRST = "NABCDEFGHIJKLMOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
LIVE = "0.25"  # seconds between two looks at the output of a job that is watched


@dataclass(frozen=True, slots=True)
class Job:
    """A job's two names: its folder below the run's, and the mark in its environment."""

    folder: str
    mark: str

    @classmethod
    def of(cls, run: str, step: str) -> Job:
        """The job of this step id in this run: always the same."""
        digest = hashlib.sha256(f"{run}\0{step}".encode("utf-8", "surrogateescape")).hexdigest()
        name = file_name(step)
        if len(name) > _LONGEST_NAME:
            name = f"{name[: _LONGEST_NAME - 33]}-{digest[:32]}"
        return cls(f"j-{name}", digest[:32])


def prelude(run: str) -> bytes:
    """What a new stream is told before anything else."""
    if not SAFE_RUN.fullmatch(run):
        raise ValueError(f"{run!r} cannot be the name of a folder")
    return f"nbops_run={quote(run)}; nbops_runner={quote(RUNNER)}\n{FUNCTIONS}\n".encode()


def whole(request: bytes) -> bytes:
    """The request as one compound command: a connection that breaks while it is sent leaves
    the shell with a part of it, of which nothing is run."""
    return b"{\n" + request + b"}\n"


def probe(command: Command, mark: str, own: str) -> bytes:
    """A command without an effect, run by the stream itself in a shell of its own.

    `own` marks its processes, in their environment; it must not be the mark of the end, which
    no command may know.

    The text goes through a pipe, never through an argument list; the command reads its own
    input or none; directory and environment are a subshell's.
    """
    text = _checked(command.text(), "script")
    call, head = _interpreter(command.shell, "/dev/fd/3", close="exec 3<&-; ")
    end = _end_of(head.encode() + text, mark)
    # The stream's own word on a killed child ("Terminated") goes nowhere; 8 is its stderr.
    around = f"NBOPS_JOB={own}; export NBOPS_JOB; {_surroundings(command)}"
    line = f"( exec 2>&8 8>&-; {around}exec {call} ) 3<<'{end}'"
    feed, source, here = b"", b" </dev/null", b""
    if command.stdin:
        start, here = _decoded(command.stdin, mark)
        feed, source = start + b" | ", b""
    return b"".join(
        (
            b"exec 2>/dev/null\n",
            feed + line.encode("utf-8", "surrogateescape") + source + b"\n",
            here,
            head.encode() + text,
            b"" if text.endswith(b"\n") else b"\n",
            f"{end}\n".encode(),
            f'nbops_s=$?; exec 2>&8; nbops_end {mark} "ended $nbops_s"\n'.encode(),
        )
    )


def _end_of(text: bytes, mark: str) -> str:
    """The word that ends a here-document of this text.

    dash loses a byte beyond ASCII that follows on the beginning of that word at the beginning
    of a line (0.5.12), so it begins with a letter with which no line begins.
    """
    begun = {line[:1] for line in text.split(b"\n")}
    before = {line[:1] for line in text.split(b"\n") if line[1:2] >= b"\x80"}
    free = [one for one in _FIRST if one.encode() not in begun]
    free += [one for one in _FIRST if one.encode() not in before]
    return f"{(free or _FIRST)[0]}_{mark}"


def ending(mark: str) -> bytes:
    """The line that closes a request with the status of what stood before it."""
    return f'nbops_end {mark} "ended $?"\n'.encode()


def begin(
    command: Command, job: Job, mark: str, *, live: bool, seen: tuple[int, int], fence: Fence | None
) -> bytes:
    """Begin the job, or attach to it when it is there; wait, and give output and status.

    `seen` is how much of each output has come already. `live` relays output meanwhile.
    """
    call, head = _interpreter(command.shell, "/dev/fd/3", close="exec 3<&-; ")
    text = head.encode() + _checked(command.text(), "script")
    go = f"{_surroundings(command)}exec {call}\n"
    stdin = b': >"$nbops_d/stdin"\n'
    if command.stdin:
        start, here = _decoded(command.stdin, mark)
        stdin = start + b' >"$nbops_d/stdin"\n' + here
    files = b"".join(
        (
            b"nbops_files() {\n: >\"$nbops_d/out\" && : >\"$nbops_d/err\" &&\n",
            b"printf %s ", _quoted(text), b' >"$nbops_d/script" &&\n',
            b"printf %s ", _quoted(_checked(go, "environment")), b' >"$nbops_d/go" &&\n',
            stdin,
            b"}\n",
        )
    )  # fmt: skip
    path, number = (quote(fence.path), fence.number) if fence else ("''", 0)
    return (
        files
        + (
            f"nbops_begin {mark} {quote(job.folder)} {job.mark} '{LIVE if live else ''}'"
            f" {seen[0]} {seen[1]} {path} {number}\n"
        ).encode()
    )


def look(job: Job, mark: str) -> bytes:
    """What became of the job, with its output when it has ended."""
    return f"nbops_look {mark} {quote(job.folder)}\n".encode()


def kill(job: Job, mark: str) -> bytes:
    """End the job's processes and say when none is left."""
    return f"nbops_kill_job {mark} {quote(job.folder)} {job.mark}\n".encode()


def kill_stream(group: int, start: int, own: str, mark: str) -> bytes:
    """End everything of another stream, the shell included, and say when none is left.

    `own` marks what it runs now; without it only its process group is ended.
    """
    return f"nbops_kill {group} {start} '{own}'; nbops_end {mark} $nbops_left\n".encode()


def hello(mark: str, machine: str = "") -> bytes:
    """Ask the stream who it is: process group, start time, machine; the answer is the mark's
    words. On another machine than the one that is named, the shell ends there."""
    return f"nbops_hello {mark} {quote(machine)}\n".encode()


def store(name: str, content: bytes, mark: str) -> bytes:
    """Put content into a file of the run's folder; its path is printed. Short content only."""
    start, here = _decoded(content, mark)
    return start + f" | nbops_store {mark} {quote(name)}\n".encode() + here


def where(name: str, mark: str) -> bytes:
    """Print the path of a file of the run's folder, and whether it is there."""
    return f"nbops_where {mark} {quote(name)}\n".encode()


def place(temporary: str, name: str, digest: str, mark: str) -> bytes:
    """Give a file that was sent beside it its name, in the run's folder, when it arrived whole:
    with this SHA-256 digest. SFTP may be silent about a disk that was full."""
    return (
        f"""\
( sum=$(sha256sum <{quote(temporary)}) || exit
  if [ "${{sum%% *}}" = {digest} ]; then exec mv -f -- {quote(temporary)} {quote(name)}; fi
  rm -f -- {quote(temporary)}
  echo "what arrived is not what was sent: is the disk full, or a quota reached?" >&2; exit 1
); """.encode()
        + ending(mark)
    )


def sweep(mark: str) -> bytes:
    """Remove the run's folder, unless a job in it still runs."""
    return f"nbops_sweep {mark}\n".encode()


def may_leave_children(script: str) -> bool:
    """Whether a script may put something into the background that holds its output open."""
    return "&" in re.sub(r"&&|[<>]&|&>", "", script)


def _surroundings(command: Command) -> str:
    lines = []
    for name, value in command.env.items():
        if not _NAME.fullmatch(name):
            raise ActionFailed(
                f"{name!r} cannot be the name of an environment variable",
                hint="use letters, digits and underscores, and no digit first",
            )
        lines.append(f"export {name}={quote(_text(value, name))}; ")
    if command.cwd is not None:
        folder = f"./{command.cwd}" if command.cwd.startswith("-") else command.cwd
        lines.append(f"cd {quote(_text(folder, 'cwd'))} || exit; ")
    return "".join(lines)


def _text(value: Text, what: str) -> str:
    text = reveal(value)
    _checked(text, what)
    return text


def _checked(text: str, what: str) -> bytes:
    if "\0" in text:
        raise ActionFailed(f"the {what} holds a NUL, which no shell can take")
    return text.encode("utf-8", "surrogateescape")


def _quoted(text: bytes) -> bytes:
    return b"'" + text.replace(b"'", b"'\\''") + b"'"


def _decoded(content: bytes, mark: str) -> tuple[bytes, bytes]:
    """A shell command that prints `content`, and the here-document that it reads."""
    end = f"NBOPS_IN_{mark}"
    return f"base64 -d <<'{end}'".encode(), base64.encodebytes(content) + f"{end}\n".encode()


def _interpreter(shell: str, path: str, close: str = "") -> tuple[str, str]:
    """How `shell` reads a script from `path`, and what must stand before the script.

    Shells read it as a part of `-c`, so that `$0` is what it is under Ansible.
    """
    if PurePosixPath(shell).name in _POSIX_SHELLS:
        return f"{quote(shell)} -c '. {path}'", close
    return f"{quote(shell)} {path}", ""
