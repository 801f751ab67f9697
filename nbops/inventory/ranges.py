"""Host names as an inventory writes them: ranges and a port behind a colon.

The rules are those of ansible-core 2.19 (`plugins/inventory/__init__.py`), but for three
things that it lets pass and that are never meant: a range that runs backwards (no host at
all), a range of more than one letter, and a name that no pattern could select.
"""

from __future__ import annotations

import ipaddress
import re
import string

MAX_HOSTS = 20_000

_BRACKETED_PORT = re.compile(r"\[([^\[\]]*:[^\[\]]*)\]:([0-9]+)")
_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_NAME = re.compile(r"\w[\w.-]*")
_LETTERS = string.ascii_letters


def expand(text: str) -> tuple[list[str], int | None]:
    """The hosts that `text` names, in order, and the port behind a colon if there is one.

    `node[1:3]`, `node[01:10:2]`, `rack[a:c]-[1:2]`, `web:2222`, `[2001:db8::1]:22`.
    Raises ValueError, with a message for the user, for anything else.
    """
    name, port = _split_port(text)
    names = _expand_ranges(name)
    for one in names:
        if not _NAME.fullmatch(one) and not is_ipv6(one):
            raise ValueError(f"`{one}` cannot be the name of a host")
    return names, port


def is_ipv6(text: str) -> bool:
    """Whether `text` is an IPv6 address, its zone included."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _split_port(text: str) -> tuple[str, int | None]:
    for shape in (_BRACKETED_PORT, _PORT):
        match = shape.fullmatch(text)
        if match:
            port = int(match[2])
            if not 1 <= port <= 65535:
                raise ValueError(f"port {match[2]} is not between 1 and 65535")
            return match[1], port
    return text, None


def _expand_ranges(text: str) -> list[str]:
    """Every name, the last range turning fastest."""
    match = _RANGE.search(text)
    if match is None:
        if "[" in text or "]" in text:
            raise ValueError(f"`{text}`: a bracket without its other half")
        return [text]
    heads = [text[: match.start()] + value for value in _range_values(match[1])]
    tails = _expand_ranges(text[match.end() :])
    if len(heads) * len(tails) > MAX_HOSTS:
        raise ValueError(f"`{text}` names more than {MAX_HOSTS} hosts")
    return [head + tail for head in heads for tail in tails]


def _range_values(text: str) -> list[str]:
    parts = text.split(":")
    if len(parts) not in {2, 3}:
        raise ValueError(f"`[{text}]`: a range is written [first:last] or [first:last:step]")
    first, last = parts[0] or "0", parts[1]
    step = parts[2] if len(parts) == 3 else "1"
    if not last:
        raise ValueError(f"`[{text}]`: a range needs an end")
    if not _is_number(step) or int(step) == 0:
        raise ValueError(f"`[{text}]`: the step must be a whole number from 1")
    if _is_number(first) and _is_number(last):
        return _numbers(text, first, last, int(step))
    if len(first) == len(last) == 1 and first in _LETTERS and last in _LETTERS:
        begin, end = _LETTERS.index(first), _LETTERS.index(last)
        if begin > end:
            raise ValueError(f"`[{text}]`: the range runs backwards")
        return list(_LETTERS[begin : end + 1 : int(step)])
    raise ValueError(f"`[{text}]`: a range goes from number to number or from letter to letter")


def _numbers(text: str, first: str, last: str, step: int) -> list[str]:
    width = len(first) if first.startswith("0") and len(first) > 1 else 0
    if width and width != len(last):
        raise ValueError(
            f"`[{text}]`: both ends need the same number of digits when the first begins with 0"
        )
    if len(first) > 9 or len(last) > 9 or (int(last) - int(first)) // step >= MAX_HOSTS:
        raise ValueError(f"`[{text}]` names more than {MAX_HOSTS} hosts")
    if int(first) > int(last):
        raise ValueError(f"`[{text}]`: the range runs backwards")
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1, step)]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
