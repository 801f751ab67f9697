"""HTTP from the host by curl. What is asked goes in by standard input, never by arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from http.cookies import CookieError, SimpleCookie
from typing import Any

from pydantic import AliasChoices, Field, field_validator

from nbops.actions.values import AnyText, Path, Plain, to_text
from nbops.base.command import Outcome, Text
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret, reveal
from nbops.runbook.spec import Args

_MARK = b"\n\x01nbops "
_INFO = r"\n\x01nbops %{http_code} %{size_header} %{num_redirects} %{url_effective}"
_NO_CURL = 67
CURL = f"command -v curl >/dev/null 2>&1 || exit {_NO_CURL}\n"

_ESCAPES = {"\\": r"\\", '"': r"\"", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\v": r"\v"}


class RequestArgs(Args):
    """What `uri` and `get_url` have in common."""

    url: AnyText = Field(description="An http or https address, as seen from the host.")
    headers: dict[str, AnyText] = Field(default_factory=dict, description="Further headers.")
    url_username: AnyText | None = Field(
        None,
        description="User for basic authentication.",
        validation_alias=AliasChoices("url_username", "user", "username"),
    )
    url_password: AnyText | None = Field(
        None,
        description="Password for basic authentication.",
        validation_alias=AliasChoices("url_password", "password"),
    )
    force_basic_auth: bool = Field(
        False, description="Accepted for Ansible's sake: credentials are sent at once anyway."
    )
    timeout: int = Field(30, description="Seconds in which something must come.", ge=1)
    validate_certs: bool = Field(True, description="Check the certificate.")
    ca_path: Path | None = Field(None, description="Certificates to check it against.")
    client_cert: Path | None = Field(None, description="Own certificate, on the host.")
    client_key: Path | None = Field(None, description="Its key, on the host.")
    http_agent: Plain = Field("ansible-httpget", description="What the client calls itself.")
    use_proxy: bool = Field(True, description="Use the proxy that the environment names.")

    @field_validator("url")
    @classmethod
    def _web(cls, value: Text) -> Text:
        if not re.match(r"https?://[^\s]+\Z", reveal(value)):
            raise ValueError("an address begins with http:// or https:// and has no spaces")
        return value

    @field_validator("headers", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): to_text(item) for key, item in value.items()}
        return value


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `status` is -1 when nothing did; `reason` says why or is the server's."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    url: str
    redirected: bool
    cookies: Mapping[str, str]


def option(name: str, value: Text | None = None) -> str:
    """One line of a curl configuration. Raises ValueError for a NUL, which it cannot hold."""
    if value is None:
        return f"{name}\n"
    text = reveal(value)
    if "\0" in text:
        raise ValueError("a NUL cannot be sent")
    escaped = "".join(_ESCAPES.get(character, character) for character in text)
    return f'{name} = "{escaped}"\n'


def header(name: str, value: Text) -> str:
    """A header as curl takes it; one without a value needs another sign."""
    if "\n" in reveal(value) or "\r" in reveal(value):
        raise ActionFailed(f"the header {name} holds a line break")
    return option("header", f"{name}: {reveal(value)}" if reveal(value) else f"{name};")


def request(args: RequestArgs) -> str:
    """The curl configuration that both actions share."""
    lines = [
        option("url", args.url),
        "silent\nshow-error\ngloboff\n",
        option("proto", "=http,https"),
        option("proto-redir", "=http,https"),
        option("user-agent", args.http_agent),
        option("connect-timeout", str(args.timeout)),
        option("speed-time", str(args.timeout)),
        option("speed-limit", "1"),
    ]
    if args.url_username is not None:
        credentials = f"{reveal(args.url_username)}:{reveal(args.url_password or '')}"
        lines.append(option("user", credentials))
    if not args.validate_certs:
        lines.append(option("insecure"))
    for name, value in (
        ("cacert", args.ca_path),
        ("cert", args.client_cert),
        ("key", args.client_key),
        ("noproxy", None if args.use_proxy else "*"),
    ):
        if value is not None:
            lines.append(option(name, value))
    lines += [header(name, value) for name, value in args.headers.items()]
    return "".join(lines)


def parts(config: str) -> str:
    """The configuration with what makes curl print headers, body and a last line of facts."""
    return f'{config}include\nwrite-out = "{_INFO}"\n'.replace(r"\x01", "\x01")


def read_response(outcome: Outcome) -> Response:
    """What curl printed. Raises ActionFailed when the host has no curl."""
    if outcome.status == _NO_CURL:
        raise ActionFailed("there is no curl on the host", hint="install the package `curl`")
    data, mark, facts = outcome.stdout.rpartition(_MARK)
    status, size, redirects, url = facts.decode("utf-8", "replace").split(" ", 3) if mark else (
        "000", "0", "0", ""
    )  # fmt: skip
    if outcome.status != 0 or status == "000":
        reason = outcome.err.strip() or f"curl ended with status {outcome.status}"
        return Response(-1, reason, {}, b"", url, False, {})
    head, body = data[: int(size)], data[int(size) :]
    last = [block for block in head.split(b"\r\n\r\n") if block.strip()][-1]
    line, _, rest = last.partition(b"\r\n")
    found = BytesHeaderParser().parsebytes(rest)
    words = line.decode("latin-1").split(" ", 2)
    return Response(
        status=int(status),
        reason=words[2].strip() if len(words) > 2 else "",
        headers=_headers(found),
        body=body,
        url=url,
        redirected=redirects != "0",
        cookies=_cookies(found),
    )


def _headers(message: Message) -> dict[str, str]:
    names = dict.fromkeys(name.lower() for name in message)
    return {
        name.replace("-", "_"): ", ".join(str(value) for value in message.get_all(name, []))
        for name in names
    }


def _cookies(message: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in message.get_all("set-cookie", []):
        try:
            jar = SimpleCookie(str(line))
        except CookieError:
            continue
        found |= {name: morsel.value for name, morsel in jar.items()}
    return found


def carries_secret(*values: Any) -> bool:
    """Whether a secret is among the values."""
    return any(isinstance(value, Secret) for value in values)
