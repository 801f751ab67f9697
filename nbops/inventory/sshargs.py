"""Options for `ssh` as an inventory carries them (`ansible_ssh_common_args`), as values.

What nbops can do like `ssh` is taken over, what concerns only the `ssh` program is passed
over, and everything else is refused by name: an option that is silently dropped may be the
one that keeps a connection where it belongs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nbops.base.yamlpos import did_you_mean

_TAKEN = {
    "proxyjump": "ProxyJump",
    "userknownhostsfile": "UserKnownHostsFile",
    "stricthostkeychecking": "StrictHostKeyChecking",
    "port": "Port",
    "user": "User",
    "identityfile": "IdentityFile",
    "hostname": "HostName",
    "connecttimeout": "ConnectTimeout",
    "serveraliveinterval": "ServerAliveInterval",
}
_NO_MATTER = frozenset(
    {
        "addkeystoagent",
        "batchmode",
        "checkhostip",
        "compression",
        "connectionattempts",
        "controlmaster",
        "controlpath",
        "controlpersist",
        "forwardagent",
        "forwardx11",
        "gssapiauthentication",
        "hashknownhosts",
        "identitiesonly",
        "ipqos",
        "kbdinteractiveauthentication",
        "loglevel",
        "numberofpasswordprompts",
        "passwordauthentication",
        "preferredauthentications",
        "pubkeyauthentication",
        "requesttty",
        "sendenv",
        "serveralivecountmax",
        "setenv",
        "streamlocalbindunlink",
        "tcpkeepalive",
        "updatehostkeys",
        "visualhostkey",
    }
)
_FLAG_OPTIONS = {"J": "proxyjump", "p": "port", "l": "user", "i": "identityfile"}
_FLAGS_WITHOUT_EFFECT = frozenset("qvCATxatkXY")

_HINTS = {
    "proxycommand": "nbops connects through jump hosts by itself: write "
    "`-o ProxyJump=[USER@]HOST[:PORT]` (or `-J`) in its place",
    "hostkeyalias": "put the key under the name or address that is connected to into known_hosts",
    "include": "name the file with `-F FILE`, or copy what is needed into it",
}
KEEP_STRICT = (
    "a host that is not recognized could be anyone's: take the option out, and add the host's key "
    "to known_hosts (`ssh-keyscan`, and compare the fingerprint), or choose "
    "`nocobase: {ssh: {host_keys: accept-new}}`"
)


@dataclass(frozen=True, slots=True)
class Jump:
    """A hop on the way: where, and as whom; None where ssh_config or the default decides."""

    host: str
    port: int | None = None
    user: str | None = None


@dataclass(slots=True)
class SshOptions:
    """What the options of an inventory ask for; None and empty where they are silent.

    `config` is the file of `-F`, with `/dev/null` for `none`. Times in seconds.
    """

    jumps: tuple[Jump, ...] | None = None
    known_hosts: tuple[Path, ...] = ()
    host_keys: Literal["strict", "accept-new"] | None = None
    port: int | None = None
    user: str | None = None
    key_files: tuple[Path, ...] = ()
    hostname: str | None = None
    connect_timeout: float | None = None
    keepalive: float | None = None
    config: Path | None = None
    wrong: list[tuple[str, str | None]] = field(default_factory=list)


def parse_ssh_args(text: str) -> SshOptions:
    """The options in `text`, which is split into words as a shell does.

    Of an option that is given twice the first counts, as with `ssh`; identity files add up.
    Never raises: what is wrong or refused is in `wrong`, each with a hint or None.
    """
    options = SshOptions()
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        options.wrong.append((f"ssh options {text!r}: {error}", "close the quotation"))
        return options
    for word in words:
        if word.startswith("-") and len(word) > 1:
            _flag(options, word, words)
        else:
            options.wrong.append((f"`{word}` among the ssh options is not one", None))
    return options


def _flag(options: SshOptions, word: str, words: Iterator[str]) -> None:
    letter, rest = word[1], word[2:]
    if letter in _FLAGS_WITHOUT_EFFECT and all(one in _FLAGS_WITHOUT_EFFECT for one in rest):
        return
    if letter not in {"o", "F", *_FLAG_OPTIONS}:
        options.wrong.append((f"ssh option `-{letter}` is not supported", None))
        if not rest and letter in "bcDEeILmOQRSWwB":
            next(words, None)
        return
    value = rest or next(words, None)
    if value is None:
        options.wrong.append((f"ssh option `-{letter}` lacks its value", None))
    elif letter == "F":
        if options.config is None:
            options.config = Path("/dev/null" if value == "none" else value).expanduser()
    elif letter == "o":
        name, value = split_option(value)
        _option(options, name, value)
    else:
        _option(options, _FLAG_OPTIONS[letter], value)


def split_option(text: str) -> tuple[str, str]:
    """`Key=value`, `Key = value` or `Key value`; quotes stay where they are."""
    cut = next((place for place, sign in enumerate(text) if sign in "= \t"), len(text))
    return text[:cut], text[cut:].strip().removeprefix("=").strip()


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _option(options: SshOptions, name: str, value: str) -> None:
    key = name.lower()
    if key in _NO_MATTER:
        return
    if key not in _TAKEN:
        known = [*_TAKEN.values(), *_NO_MATTER]
        options.wrong.append(
            (f"ssh option `{name}` is not supported", _HINTS.get(key) or did_you_mean(name, known))
        )
        return
    if not value:
        options.wrong.append((f"ssh option `{_TAKEN[key]}` lacks its value", None))
        return
    try:
        _take(options, key, value if key == "userknownhostsfile" else _unquoted(value))
    except ValueError as error:
        hint = KEEP_STRICT if key in {"stricthostkeychecking", "userknownhostsfile"} else None
        options.wrong.append((f"ssh option `{_TAKEN[key]}`: {error}", hint))


def _take(options: SshOptions, key: str, value: str) -> None:
    match key:
        case "proxyjump":
            options.jumps = options.jumps if options.jumps is not None else parse_jumps(value)
        case "userknownhostsfile":
            options.known_hosts = options.known_hosts or parse_known_hosts(value)
        case "stricthostkeychecking":
            options.host_keys = options.host_keys or _host_keys(value)
        case "port":
            options.port = options.port or parse_port(value)
        case "user":
            options.user = options.user or value
        case "identityfile":
            options.key_files = (*options.key_files, Path(value).expanduser())
        case "hostname":
            options.hostname = options.hostname or value
        case "connecttimeout":
            options.connect_timeout = options.connect_timeout or _seconds(value)
        case "serveraliveinterval":
            options.keepalive = options.keepalive or _seconds(value)


def parse_port(value: object) -> int:
    """A TCP port. Raises ValueError when it is none."""
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{value!r} is not a port: a whole number from 1 to 65535")
    if len(text) > 5 or not 1 <= int(text) <= 65535:
        raise ValueError(f"port {text} is not between 1 and 65535")
    return int(text)


def parse_jumps(value: str) -> tuple[Jump, ...]:
    """`[USER@]HOST[:PORT]`, several with commas, the first connected to first; `none`.

    Raises ValueError for anything else.
    """
    if value.lower() == "none":
        return ()
    return tuple(_jump(part.strip()) for part in value.split(","))


def _jump(text: str) -> Jump:
    user, _, place = text.removeprefix("ssh://").rpartition("@")
    host, port = place, None
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":") or None
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    if not host or "%" in text or any(sign.isspace() for sign in text) or host.startswith("-"):
        raise ValueError(f"{text!r} is not [USER@]HOST[:PORT]")
    return Jump(host, None if port is None else parse_port(port), user or None)


def parse_known_hosts(value: str) -> tuple[Path, ...]:
    """One or more files, quoted where there are spaces; `~` is the home folder.

    Raises ValueError for `none`, /dev/null, and what is no list of files.
    """
    paths = []
    for word in shlex.split(value):
        if word in {"none", "/dev/null"}:
            raise ValueError(f"`{word}` would know no host")
        if "%" in word or "$" in word:
            raise ValueError(f"`{word}`: tokens and variables are not supported in a path")
        paths.append(Path(word).expanduser())
    return tuple(paths)


def _host_keys(value: str) -> Literal["strict", "accept-new"]:
    if value.lower() in {"yes", "ask"}:
        return "strict"
    if value.lower() == "accept-new":
        return "accept-new"
    raise ValueError(f"`{value}` is refused; `yes` and `accept-new` are accepted")


def _seconds(value: str) -> float:
    if not (value.isascii() and value.isdigit()) or len(value) > 6:
        raise ValueError(f"{value!r} is not a number of seconds")
    return float(value)
