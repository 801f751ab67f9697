"""A talk with a Redis server from a host that may have no client of it: by `redis-cli` where it
is, else by `curl` or `openssl`. Pure: a script, what goes into it, and what comes out.

Commands go through standard input in the protocol's own form (RESP: an array of texts with
their lengths), so that a password is in no argument list and no value can be another command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from nbops.base.command import Text, quote
from nbops.base.errors import UsageError
from nbops.base.secret import reveal

_SECONDS = 15
_PORT = 6379


@dataclass(frozen=True, slots=True)
class Server:
    """A server as an address names it: where, with TLS or without, and which database."""

    host: str
    port: int
    tls: bool
    number: int


def server_of(url: Text) -> Server:
    """The server of a `redis://` or `rediss://` address. Raises UsageError when it is none."""
    parts = urlsplit(reveal(url))
    number = parts.path.strip("/") or "0"
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname or not number.isdigit():
        raise UsageError("an address of Redis reads redis://HOST:PORT/NUMBER, or rediss://…")
    return Server(parts.hostname, parts.port or _PORT, parts.scheme == "rediss", int(number))


def talk(url: Text, commands: Sequence[Sequence[str]]) -> tuple[str, bytes]:
    """A script that says `commands` to the server of an address, and its standard input. The
    password and the user in the address are said first, then the database's number."""
    server = server_of(url)
    parts = urlsplit(reveal(url))
    said: list[Sequence[str]] = []
    if parts.password:
        user = [unquote(parts.username)] if parts.username else []
        said.append(["AUTH", *user, unquote(parts.password)])
    said += [["SELECT", str(server.number)], *commands, ["QUIT"]]
    return _script(server), b"".join(map(_encoded, said))


def answers(output: bytes) -> list[str]:
    """What the server answered, each answer as text; for an error with its `-` before it.

    Raises ValueError when the answer is cut off.
    """
    found = []
    rest = output
    while rest:
        text, rest = _answer(rest)
        found.append(text)
    return found


def _encoded(words: Sequence[str]) -> bytes:
    raw = [word.encode() for word in words]
    return b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in raw)


def _answer(output: bytes) -> tuple[str, bytes]:
    line, end, rest = output.partition(b"\r\n")
    if not end:
        raise ValueError("the answer is cut off")
    kind, text = line[:1], line[1:].decode("utf-8", "replace")
    if kind == b"$":
        length = int(text)
        if length < 0:
            return "", rest
        if len(rest) < length + 2:
            raise ValueError("the answer is cut off")
        return rest[:length].decode("utf-8", "replace"), rest[length + 2 :]
    if kind == b"*":
        parts = []
        for _ in range(max(0, int(text))):
            part, rest = _answer(rest)
            parts.append(part)
        return "\n".join(parts), rest
    if kind == b"-":
        return f"-{text}", rest
    return text, rest


def _script(server: Server) -> str:
    """curl ends when the server closes the line, which it does after QUIT."""
    place = f"[{server.host}]" if ":" in server.host else server.host
    if server.tls:
        return (
            f"timeout {_SECONDS} openssl s_client -quiet -verify_quiet -no_ign_eof"
            f" -connect {quote(f'{place}:{server.port}')} 2>/dev/null\n"
        )
    return f"curl --silent --max-time {_SECONDS} {quote(f'telnet://{place}:{server.port}')}\n"
