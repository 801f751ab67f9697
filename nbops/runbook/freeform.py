"""Arguments written as text: `command: uptime chdir=/tmp`, `copy: src=a dest=b`."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

# The actions whose text is a command, and what may be set within that text.
COMMANDS = frozenset({"command", "shell", "script", "raw"})
COMMAND_OPTIONS = frozenset(
    {
        "creates",
        "removes",
        "chdir",
        "executable",
        "stdin",
        "stdin_add_newline",
        "strip_empty_ends",
    }
)

_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=", re.ASCII)
_BRACES = {"{{": "}}", "{%": "%}", "{#": "#}"}
_ESCAPE = re.compile(r"\\(U.{8}|u.{4}|x..|[0-7]{1,3}|N\{[^}]+\}|[\\'\"abfnrtv])")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: where it begins and ends, quotes and templates kept whole."""

    text: str
    start: int
    end: int


class UnbalancedError(ValueError):
    """A quote or a template that is not closed."""


def words(text: str) -> list[Word]:
    """The words of a text, split at white space outside quotes and templates.

    Raises UnbalancedError when one of them is not closed.
    """
    found = []
    start: int | None = None
    i = 0
    while i < len(text):
        if text[i].isspace():
            if start is not None:
                found.append(Word(text[start:i], start, i))
                start = None
            i += 1
            continue
        if start is None:
            start = i
        i = _skip(text, i)
    if start is not None:
        found.append(Word(text[start:], start, len(text)))
    return found


def _skip(text: str, i: int) -> int:
    close = _BRACES.get(text[i : i + 2])
    if close is not None:
        end = text.find(close, i + 2)
        if end < 0:
            raise UnbalancedError(f"`{text[i : i + 2]}` is not closed")
        return end + 2
    if text[i] == "\\":
        return i + 2
    if text[i] in "'\"":
        end = i + 1
        while end < len(text) and text[end] != text[i]:
            end += 2 if text[end] == "\\" else 1
        if end >= len(text):
            raise UnbalancedError("a quote is not closed")
        return end + 1
    return i + 1


def pair(word: Word) -> tuple[str, str] | None:
    """A word `key=value` as its key and its value without quotes; None for another word."""
    match = _PAIR.match(word.text)
    if match is None:
        return None
    value = word.text[match.end() :]
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return match[1], _ESCAPE.sub(lambda found: codecs.decode(found[0], "unicode-escape"), value)


def command_text(text: str) -> tuple[str, dict[str, str]]:
    """A command's text without its options, and these (`creates=`, `chdir=`…).

    All other text stays as it is, to the last space; so does a text with an open quote.
    """
    options = {}
    try:
        found = words(text)
    except UnbalancedError:
        return text, {}
    for word in reversed(found):
        parsed = pair(word)
        if parsed and parsed[0] in COMMAND_OPTIONS:
            options[parsed[0]] = parsed[1]
            text = _without(text, word)
    return text, options


def _without(text: str, word: Word) -> str:
    head, tail = text[: word.start], text[word.end :]
    if tail[:1].isspace():
        return head + tail[1:]
    return head.rstrip(" \t") + tail


def pairs(text: str) -> dict[str, str] | None:
    """A text that is nothing but `key=value` words; None when it is not.

    Raises UnbalancedError when a quote or a template is not closed.
    """
    found = [pair(word) for word in words(text)]
    if not found or any(one is None for one in found):
        return None
    return {one[0]: one[1] for one in found if one}
