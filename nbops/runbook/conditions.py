"""The tests of Ansible (`x is match('y')`) that runbooks use; jinja2's own are beside them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from nbops.runbook.filters_values import TRUE_WORDS

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(("==", "=", "eq"), operator.eq),
    **dict.fromkeys(("<", "lt"), operator.lt),
    **dict.fromkeys(("<=", "le"), operator.le),
    **dict.fromkeys((">", "gt"), operator.gt),
    **dict.fromkeys((">=", "ge"), operator.ge),
    **dict.fromkeys(("!=", "<>", "ne"), operator.ne),
}
_STRICT = re.compile(r"^(\d+)\.(\d+)(?:\.(\d+))?(?:([ab])(\d+))?$", re.ASCII)
_SEMANTIC = re.compile(
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$",
    re.ASCII,
)
_LOOSE = re.compile(r"\d+|[a-z]+|\.")
_BOOL_WORDS = TRUE_WORDS | {"n", "no", "off", "0", "false", "f"}


def version(
    value: Any,
    other: Any,
    operator: str = "eq",
    strict: bool | None = None,
    version_type: str | None = None,
) -> bool:
    """Whether two versions compare so: `'2.2.16' is version('2.2.15', '>')`."""
    if strict is not None and version_type:
        raise ValueError("Cannot specify both 'strict' and 'version_type'")
    if value is None or str(value) == "":
        raise ValueError("Input version value cannot be empty")
    if other is None or str(other) == "":
        raise ValueError("Version parameter to compare against cannot be empty")
    compare = _OPERATORS.get(operator)
    if compare is None:
        known = ", ".join(repr(name) for name in _OPERATORS)
        raise ValueError(f"Invalid operator type ({operator}). Must be one of {known}")
    parse = _parser("strict" if strict else version_type or "loose")
    try:
        return compare(parse(str(value)), parse(str(other)))
    except TypeError as error:
        raise ValueError(f"Version comparison failed: {error}") from None


def _parser(kind: str) -> Callable[[str], Any]:
    parsers = {
        "loose": _loose,
        "strict": _strict,
        "semver": _semantic,
        "semantic": _semantic,
        "pep440": _pep440,
    }
    if kind not in parsers:
        known = ", ".join(parsers)
        raise ValueError(f"Invalid version type ({kind}). Must be one of {known}")
    return parsers[kind]


def _loose(text: str) -> list[int | str]:
    """Numbers and words in turn; dots are left out, other signs are words of their own."""
    parts: list[int | str] = []
    end = 0
    for match in _LOOSE.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        if match[0] != ".":
            parts.append(int(match[0]) if match[0].isdigit() else match[0])
        end = match.end()
    if end < len(text):
        parts.append(text[end:])
    return parts


def _strict(text: str) -> tuple[Any, ...]:
    match = _STRICT.match(text)
    if match is None:
        raise ValueError(f"Version comparison failed: invalid version number '{text}'")
    numbers = tuple(int(part or 0) for part in match.groups()[:3])
    return (numbers, (match[4], int(match[5])) if match[4] else ("z", 0))


def _semantic(text: str) -> tuple[Any, ...]:
    match = _SEMANTIC.match(text)
    if match is None:
        raise ValueError(f"Version comparison failed: invalid semantic version '{text}'")
    numbers = tuple(int(part) for part in match.groups()[:3])
    if not match[4]:
        return (numbers, (1,))
    before = tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in match[4].split(".")
    )
    return (numbers, (0, before))


def _pep440(text: str) -> Any:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion as error:
        raise ValueError(f"Version comparison failed: {error}") from None


def regex(
    value: Any,
    pattern: str = "",
    ignorecase: bool = False,
    multiline: bool = False,
    match_type: str = "search",
) -> bool:
    """Whether a pattern is found (`search`), begins (`match`) or is all of it (`fullmatch`)."""
    flags = (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)
    if match_type not in {"search", "match", "fullmatch"}:
        raise ValueError(f"Invalid match_type specified: {match_type}")
    found = getattr(re.compile(pattern, flags), match_type)(
        value if isinstance(value, str) else str(value)
    )
    return found is not None


def match(value: Any, pattern: str = "", ignorecase: bool = False, multiline: bool = False) -> bool:
    """Whether a text begins with a pattern."""
    return regex(value, pattern, ignorecase, multiline, "match")


def search(
    value: Any, pattern: str = "", ignorecase: bool = False, multiline: bool = False
) -> bool:
    """Whether a pattern is somewhere in a text."""
    return regex(value, pattern, ignorecase, multiline, "search")


def _result(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"The '{name}' test expects a dictionary")
    return value


def failed(result: Any) -> bool:
    """Whether a task's result is a failure."""
    return bool(_result(result, "failed").get("failed", False))


def succeeded(result: Any) -> bool:
    """Whether a task's result is none of a failure."""
    return not bool(_result(result, "success").get("failed", False))


def changed(result: Any) -> bool:
    """Whether a task changed something, on one item of its loop at least."""
    found = _result(result, "changed")
    if "changed" in found or "results" not in found:
        return bool(found.get("changed", False))
    items = found["results"]
    return any(isinstance(one, Mapping) and bool(one.get("changed", False)) for one in items)


def skipped(result: Any) -> bool:
    """Whether a task was skipped."""
    return bool(_result(result, "skipped").get("skipped", False))


def unreachable(result: Any) -> bool:
    """Whether a task's host could not be reached."""
    return bool(_result(result, "unreachable").get("unreachable", False))


def reachable(result: Any) -> bool:
    """Whether a task's host could be reached."""
    return not bool(_result(result, "reachable").get("unreachable", False))


def truthy(value: Any, convert_bool: bool = False) -> bool:
    """Whether a value counts as true; with `convert_bool`, words such as `no` count as said."""
    if convert_bool and (isinstance(value, bool) or str(value).lower() in _BOOL_WORDS):
        return str(value).lower() in TRUE_WORDS
    return bool(value)


def falsy(value: Any, convert_bool: bool = False) -> bool:
    """The reverse of `truthy`."""
    return not truthy(value, convert_bool)


def subset(first: Any, second: Any) -> bool:
    """Whether all of a list is in another."""
    return set(first) <= set(second)


def superset(first: Any, second: Any) -> bool:
    """Whether all of another list is in a list."""
    return set(first) >= set(second)


def contains(container: Any, value: Any) -> bool:
    """Whether a list, mapping or text holds a value."""
    return value in container


def is_url(value: Any, schemes: Any = None) -> bool:
    """Whether a text is a URL with a scheme and a host."""
    parts = urlsplit(str(value))
    known = schemes is None or parts.scheme in schemes
    return bool(parts.scheme and parts.netloc) and known


def is_uri(value: Any, schemes: Any = None) -> bool:
    """Whether a text is a URI."""
    parts = urlsplit(str(value))
    known = schemes is None or parts.scheme in schemes
    return bool(parts.scheme and (parts.netloc or parts.path)) and known


def is_absolute(value: Any) -> bool:
    """Whether a path begins at the root."""
    return str(value).startswith("/")


def is_nan(value: Any) -> bool:
    """Whether a number is none."""
    return math.isnan(value)


TESTS: Mapping[str, Callable[..., bool]] = {
    **dict.fromkeys(("version", "version_compare"), version),
    "regex": regex,
    "match": match,
    "search": search,
    **dict.fromkeys(("failed", "failure"), failed),
    **dict.fromkeys(("succeeded", "success", "successful"), succeeded),
    **dict.fromkeys(("changed", "change"), changed),
    **dict.fromkeys(("skipped", "skip"), skipped),
    "unreachable": unreachable,
    "reachable": reachable,
    "truthy": truthy,
    "falsy": falsy,
    **dict.fromkeys(("subset", "issubset"), subset),
    **dict.fromkeys(("superset", "issuperset"), superset),
    "contains": contains,
    "any": any,
    "all": all,
    "url": is_url,
    "uri": is_uri,
    **dict.fromkeys(("abs", "is_abs"), is_absolute),
    **dict.fromkeys(("nan", "isnan"), is_nan),
}
