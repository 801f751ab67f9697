"""Filters on single values: truth, choice, numbers, sizes, time."""

from __future__ import annotations

import datetime
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Undefined
from jinja2.exceptions import UndefinedError

from nbops.base.secret import Secret
from nbops.runbook.values import type_name

TRUE_WORDS = frozenset({"y", "yes", "on", "1", "true", "t"})
_SIZES = {
    "Y": 1 << 80,
    "Z": 1 << 70,
    "E": 1 << 60,
    "P": 1 << 50,
    "T": 1 << 40,
    "G": 1 << 30,
    "M": 1 << 20,
    "K": 1 << 10,
    "B": 1,
}


def to_bool(value: Any) -> bool:
    """Whether a value says yes: true, 1, or a word such as `yes`, `on`, `true`."""
    if isinstance(value, str):
        return value.lower() in {"yes", "on", "1", "true"}  # not `y`: as in ansible-core 2.19
    return value == 1 if isinstance(value, bool | int | float) else False


def mandatory(value: Any, msg: str | None = None) -> Any:
    """The value, which must be defined."""
    if isinstance(value, Undefined):
        name = value._undefined_name
        shown = f"'{name}' " if name is not None else ""
        raise UndefinedError(msg or f"Mandatory variable {shown}not defined.")
    return value


def ternary(value: Any, true_val: Any, false_val: Any, none_val: Any = None) -> Any:
    """One of two values, by the truth of a third; a third one for None."""
    if isinstance(value, Undefined):
        bool(value)
    if value is None and none_val is not None:
        return none_val
    return true_val if bool(value) else false_val


def log(value: Any, base: float = math.e) -> float:
    """The logarithm."""
    return math.log10(value) if base == 10 else math.log(value, base)


def root(value: Any, base: float = 2) -> float:
    """The root: the square root, unless `base` says otherwise."""
    return math.sqrt(value) if base == 2 else math.pow(value, 1.0 / float(base))


def human_readable(size: Any, isbits: bool = False, unit: str | None = None) -> str:
    """A number of bytes (or bits) for people: `1.00 KB`."""
    number = float(size)
    letter = "B"
    for name, limit in _SIZES.items():
        if unit.upper() == name if unit is not None else abs(number) >= limit:
            letter = name
            break
    base = "bits" if isbits else "Bytes"
    suffix = base if letter == "B" else letter + base[0]
    return f"{number / _SIZES[letter]:.2f} {suffix}"


def human_to_bytes(size: Any, default_unit: str | None = None, isbits: bool = False) -> int:
    """What people write for a size (`10 MB`) as a number of bytes (or bits)."""
    match = re.match(r"^\s*(\d*\.?\d*)\s*([A-Za-z]+)?", str(size))
    if match is None or not match[1]:
        raise ValueError(f"can't interpret following string: {size}")
    unit = match[2] or default_unit
    if not unit:
        return round(float(match[1]))
    letter = unit[0].upper()
    whole = "bit" if isbits else "byte"
    fits = unit[1:] in {"", "b" if isbits else "B"} or unit.lower() in {whole, f"{whole}s"}
    if letter not in _SIZES or not fits:
        raise ValueError(
            f"can't interpret following string: {size}, `{unit}` is no unit of {whole}s"
        )
    return round(float(match[1]) * (_SIZES[letter] if unit.lower()[:3] != whole[:3] else 1))


def strftime(string_format: str, second: Any = None, utc: bool = False) -> str:
    """A time, in seconds since the epoch (now, when not given), as text."""
    seconds = None if second is None else float(second)
    moment = time.gmtime(seconds) if utc else time.localtime(seconds)
    return time.strftime(string_format, moment)


def to_datetime(text: str, format: str = "%Y-%m-%d %H:%M:%S") -> datetime.datetime:  # noqa: A002
    """A text as a moment, which can be compared and subtracted."""
    return datetime.datetime.strptime(text, format)


def type_debug(value: Any) -> str:
    """The name of a value's type."""
    return "str" if isinstance(value, Secret) else type_name(value)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "bool": to_bool,
    "human_readable": human_readable,
    "human_to_bytes": human_to_bytes,
    "log": log,
    "mandatory": mandatory,
    "pow": math.pow,
    "root": root,
    "strftime": strftime,
    "ternary": ternary,
    "to_datetime": to_datetime,
    "type_debug": type_debug,
}
