"""How large an expression may make a value: some signs must not fill this computer's memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sized
from typing import Any

from jinja2.exceptions import SecurityError

LARGEST = 50_000_000  # characters, items, or bits of a number
_WIDTH = re.compile(r"\d{8,}|\*")
_PADS = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})


def check_operator(operator: str, left: Any, right: Any) -> None:
    """Raise SecurityError when what `left operator right` gives would be too large."""
    match operator:
        case "*":
            for value, times in ((left, right), (right, left)):
                if isinstance(value, Sized) and isinstance(times, int):
                    _limit(len(value) * max(0, times))
        case "**" if isinstance(left, int) and isinstance(right, int):
            _limit(left.bit_length() * max(0, right))
        case "+" if isinstance(left, Sized) and isinstance(right, Sized):
            _limit(len(left) + len(right))
        case "%" if isinstance(left, str) and _WIDTH.search(left):
            raise _too_large()
        case _:
            pass


def check_call(name: str, owner: Any, arguments: Iterable[Any]) -> None:
    """Raise SecurityError when a method of a text would make a text that is too large."""
    if not isinstance(owner, str):
        return
    given = list(arguments)
    if name in _PADS and any(isinstance(one, int) and one > LARGEST for one in given):
        raise _too_large()
    if name in {"format", "format_map"}:
        nested = any(isinstance(one, int) and one > LARGEST for one in given)
        if re.search(r"\d{8,}", owner) or (nested and re.search(r":[^}]*\{", owner)):
            raise _too_large()
    if name == "replace" and len(given) >= 2 and all(isinstance(one, str) for one in given[:2]):
        _limit(len(owner) + owner.count(given[0]) * len(given[1]))


def _limit(size: int) -> None:
    if size > LARGEST:
        raise _too_large()


def _too_large() -> SecurityError:
    return SecurityError(f"the expression makes a value of more than {LARGEST:,} characters")
