"""Words for the host's shell: quoted, or with just those expansions that Ansible makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from nbops.base.command import Text, quote
from nbops.base.secret import Secret, reveal

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_TILDE = re.compile(r"~(?:[a-z_][a-z0-9_-]*)?(?:/|\Z)")
_GLOB = re.compile(r"[*?\[\]!-]")
# Names that a shell sets for itself: they are not in the environment that Ansible looks into.
_SHELL_OWN = frozenset(("_", "IFS", "LINENO", "OPTARG", "OPTIND", "PPID", "PS1", "PS2", "PS4"))


def compose(*parts: Text) -> Text:
    """The parts as one text; a Secret as soon as one of them is."""
    text = "".join(reveal(part) for part in parts)
    return Secret(text) if any(isinstance(part, Secret) for part in parts) else text


def quoted(value: Text) -> Text:
    """`value` as one word that means exactly this text; stays a Secret."""
    return Secret(quote(value.reveal())) if isinstance(value, Secret) else quote(value)


def expanded(text: str) -> str:
    """`text` as one word in which a leading `~` or `~user` and the environment's `$NAME` and
    `${NAME}` are replaced on the host; what is not set there stays as it stands.
    """
    head, rest = _tilde(text)
    return head + _pieces(rest, quote) if text else "''"


def expanded_text(value: Text) -> Text:
    """The same for what may be a secret, and then stays one."""
    word = expanded(reveal(value))
    return Secret(word) if isinstance(value, Secret) else word


def globbed(text: str) -> str:
    """A path pattern as a word: `*`, `?` and `[…]` match, `expanded` applies, the rest is text."""
    head, rest = _tilde(text)
    return head + _pieces(rest, _glob_quote) or "''"


def joined(words: Iterable[Text]) -> Text:
    """Words with spaces between."""
    parts: list[Text] = []
    for word in words:
        parts += [" ", word]
    return compose(*parts[1:])


def _tilde(text: str) -> tuple[str, str]:
    match = _TILDE.match(text)
    return (match[0], text[match.end() :]) if match else ("", text)


def _pieces(text: str, literal: Callable[[str], str]) -> str:
    pieces: list[str] = []
    start = 0
    for match in _VARIABLE.finditer(text):
        name = match[1] or match[2]
        if name in _SHELL_OWN:
            continue
        if match.start() > start:
            pieces.append(literal(text[start : match.start()]))
        pieces.append(f'"${{{name}-{_in_double_quotes(match[0])}}}"')
        start = match.end()
    if start < len(text):
        pieces.append(literal(text[start:]))
    return "".join(pieces)


def _in_double_quotes(text: str) -> str:
    return re.sub(r'([$`"\\}])', r"\\\1", text)


def _glob_quote(text: str) -> str:
    out: list[str] = []
    start = 0
    for match in _GLOB.finditer(text):
        if match.start() > start:
            out.append(quote(text[start : match.start()]))
        out.append(match[0])
        start = match.end()
    if start < len(text):
        out.append(quote(text[start:]))
    return "".join(out)
