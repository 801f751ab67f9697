"""Files to a host's run folder, and from the host."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nbops.base.command import LOGIN, Command, Identity, Outcome, quote
from nbops.base.errors import ActionFailed
from nbops.base.retry import Deadline, Stop
from nbops.transport import script
from nbops.transport.framing import new_mark
from nbops.transport.jobs import Output, no_folder
from nbops.transport.stream import Link, Stream

SHORT = 1 << 16  # bytes: up to here a file goes with the request, in one round trip
_PIECE = 1 << 20
_NAMED = "f-"
IDLE = 120.0  # seconds without any progress


def name_of(content: bytes | Path) -> str:
    """The name of a staged file: by its content. Raises ActionFailed when it cannot be read."""
    digest = hashlib.sha256()
    if isinstance(content, bytes):
        digest.update(content)
        return f"{_NAMED}{digest.hexdigest()}"
    try:
        with content.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise ActionFailed(f"{content} cannot be read: {error.strerror}") from error
    return f"{_NAMED}{digest.hexdigest()}"


def stage(stream: Stream, link: Link, content: bytes | Path, identity: Identity, stop: Stop) -> str:
    """Put content into a file (0600) of the run's folder; gives its path.

    `stream` is one of `carrier(content, identity)`. Short content goes through it; longer content
    through SFTP, or piece by piece through it for a user who could not read the login's file.
    """
    name = name_of(content)
    if _size(content) <= SHORT:
        return _send(stream, name, _read(content))
    output, mark = Output(), new_mark()
    answer = stream.ask(
        script.where(name, mark), mark, sink=output.take, deadline=Deadline(IDLE), idle=True
    )
    path = output.outcome(0, 0).out
    if answer.words == ("folder",):
        raise no_folder()
    if answer.words == ("there",):
        return path
    if not _reads_all(identity):
        return _send(stream, name, _read(content))
    temporary = f"{path}.{new_mark()}"
    link.put(content, temporary, stop.check)
    _place(stream, temporary, path, name.removeprefix(_NAMED), _size(content))
    return path


def carrier(content: bytes | Path, identity: Identity) -> Identity:
    """Whose stream and folder are used to stage content for `identity`."""
    return LOGIN if _size(content) > SHORT and _reads_all(identity) else identity


def _reads_all(identity: Identity) -> bool:
    """Whether this identity can read a file of the login user's with mode 0600."""
    return identity.is_login or identity.user == "root"


def _size(content: bytes | Path) -> int:
    if isinstance(content, bytes):
        return len(content)
    try:
        return content.stat().st_size
    except OSError as error:
        raise ActionFailed(f"{content} cannot be read: {error.strerror}") from error


def fetch_command(path: str, identity: Identity) -> Command:
    """The probe that prints a file."""
    return Command(f"cat -- {quote(path)}", identity=identity, deadline=IDLE, idle=True)


def fetched(path: str, outcome: Outcome) -> bytes:
    """A file's content from what came of the probe. Raises ActionFailed with the cause."""
    if not outcome.ok:
        cause = outcome.err.strip().removeprefix("cat: ") or f"status {outcome.status}"
        raise ActionFailed(f"{path} cannot be read: {cause}")
    return outcome.stdout


def _send(stream: Stream, name: str, content: bytes) -> str:
    output, mark = Output(), new_mark()
    answer = stream.ask(
        script.store(name, content, mark),
        mark,
        sink=output.take,
        deadline=Deadline(IDLE + len(content) / _PIECE),
    )
    if answer.words == ("ended", "0"):
        return output.outcome(0, 0).out
    if answer.words == ("folder",):
        raise no_folder()
    raise ActionFailed(f"a file could not be written on the host: {output.outcome(1, 0).err}")


def _place(stream: Stream, temporary: str, path: str, digest: str, size: int) -> None:
    output, mark = Output(), new_mark()
    answer = stream.ask(
        script.place(temporary, path, digest, mark),
        mark,
        sink=output.take,
        deadline=Deadline(IDLE + size / _PIECE),
    )
    if answer.words != ("ended", "0"):
        raise ActionFailed(f"{path} could not be written: {output.outcome(1, 0).err.strip()}")


def _read(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()
