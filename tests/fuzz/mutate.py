"""Ways to spoil a YAML text: bytes, lines, indentation, words, nesting, anchors."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

# What has broken readers of YAML, of Jinja2 and of host patterns before.
NASTY = (
    "{{ ", " }}", "{% ", "%}", "{#", "[", "]", "{", "}", ": ", "- ", "#", "&a ", "*a", "<<: ",
    "!!python/object:os.system ", "!vault ", "!!binary ", "!!set ", "!!omap ", "!!timestamp ",
    "| ", "> ", "'", '"', "\\", "\t", "\r", "\0", "\x85", "\u2028", "\ufeff", "\ud7ff", "é", "😀",
    "~", "null", "true", "no", ".inf", "-.nan", "0x", "0o8", "1_000", "1e999", "12:30:45",
    "2001-13-45", "9" * 5000, "../", "/", "/dev/zero", "a" * 300, "node[1:99999999]", "[0:3]",
    "~(", "all:!", "&", "?", "---\n", "...\n", "%YAML 9.9\n", "{{ x.__class__ }}",
    "{{ range(10**9) | list }}", "(" * 60, "{{ [" * 40,
)  # fmt: skip

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 30)
)


def _insert(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(NASTY) + text[at:]


def _delete(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[at + rng.randrange(1, 12) :]


def _flip(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + chr(rng.randrange(0x80)) + text[at + 1 :]


def _lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        lines[one], lines[two] = lines[two], lines[one]
    elif kind == 1:
        lines.insert(one, lines[two])
    elif kind == 2:
        del lines[one]
    else:
        lines[one] = " " * rng.randrange(1, 5) + lines[one]
    return "\n".join(lines)


def _words(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    one, two = rng.randrange(len(words)), rng.randrange(len(words))
    words[one] = rng.choice((words[two], rng.choice(NASTY), words[one][::-1]))
    return " ".join(words)


def _value(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    key, colon, _ = lines[at].partition(": ")
    if colon:
        lines[at] = f"{key}: {rng.choice(NASTY)}"
    return "\n".join(lines)


def _deep(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice("[{") * rng.choice((20, 500, 5000)) + text[at:]


def _bomb(text: str, rng: random.Random) -> str:
    at = rng.choice([0, len(text)])
    return text[:at] + BOMB + text[at:]


_COMMON: Sequence[Callable[[str, random.Random], str]] = (
    _insert, _delete, _flip, _lines, _lines, _words, _words, _value, _value, _value,
)  # fmt: skip
_RARE: Sequence[Callable[[str, random.Random], str]] = (_deep, _bomb)


def spoilt(text: str, rng: random.Random) -> str:
    """The text after one to six mutations."""
    for _ in range(rng.randrange(1, 7)):
        kinds = _RARE if rng.random() < 0.01 else _COMMON
        text = rng.choice(kinds)(text or " ", rng)
    return text
