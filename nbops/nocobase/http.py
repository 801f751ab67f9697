"""Questions to the app, asked by curl on a host: texts of scripts, and their answers read.

Nothing secret stands in an argument list: what curl must not be seen to get goes to it as
a configuration on standard input.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nbops.base.command import quote

PATIENCE = 5
_MOST_BYTES = 262144


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status (0: no answer) and the body."""

    status: int
    body: str = ""

    def data(self) -> Any:
        """What stands under `data` in a JSON body; None when it is no such body."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return None
        return document.get("data") if isinstance(document, dict) else None


def ask_script(urls: Sequence[str], patience: int = PATIENCE) -> str:
    """Asks all addresses at once, each for at most so many seconds; a line for each answer."""
    asks = "\n".join(f"ask {number} {quote(url)} &" for number, url in enumerate(urls))
    return f"""\
ask() {{
    said=$(curl --silent --globoff --max-time {patience} --noproxy '*' \\
        --write-out '\\n%{{http_code}}' "$2" | head -c {_MOST_BYTES} | base64 -w 0)
    printf '%s %s\\n' "$1" "$said"
}}
{asks}
wait
"""


def read_answers(output: str, count: int) -> list[Answer]:
    """The answers of `ask_script`, in the order of the addresses; a missing or cut one has
    status 0."""
    answers = [Answer(0)] * count
    for line in output.splitlines():
        number, _, said = line.partition(" ")
        with suppress(ValueError):
            if 0 <= int(number) < count:
                answers[int(number)] = read_answer(base64.b64decode(said))
    return answers


def call_script(patience: int = PATIENCE) -> str:
    """Makes the one request that standard input describes; prints body, newline, status."""
    return (
        f"curl --silent --globoff --max-time {patience} --noproxy '*'"
        " --write-out '\\n%{http_code}' --config -\n"
    )


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a request is for, beyond what its URL says: `connect` is where to connect to, `pin`
    the digest of the only public key that is accepted there (base64 of SHA-256), whoever
    signed its certificate."""

    connect: str = ""
    pin: str = ""


AS_NAMED = Peer()


def call_config(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    peer: Peer = AS_NAMED,
) -> bytes:
    """A request as curl reads it from a configuration; `body` goes as JSON by POST."""
    lines = [f"url = {_quoted(url)}"]
    if peer.connect:
        lines.append(f"connect-to = {_quoted(f'::{peer.connect}')}")
    if peer.pin:
        lines += ["insecure", f"pinnedpubkey = {_quoted(f'sha256//{peer.pin}')}"]
    if body is not None:
        lines += ['header = "Content-Type: application/json"', f"data-raw = {_quoted(_json(body))}"]
    lines += [f"header = {_quoted(f'{name}: {value}')}" for name, value in (headers or {}).items()]
    return ("\n".join(lines) + "\n").encode()


def read_answer(output: bytes) -> Answer:
    """A body with the status in a last line of its own."""
    body, _, status = output.decode("utf-8", "replace").rpartition("\n")
    return Answer(int(status) if status.isdecimal() else 0, body)


def _json(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False)


def _quoted(text: str) -> str:
    """A value in the quotes of curl's configuration."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for sign, name in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\v", "\\v")):
        escaped = escaped.replace(sign, name)
    return f'"{escaped}"'
