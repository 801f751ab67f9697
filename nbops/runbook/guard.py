"""Between expressions and the functions they use: secrets, undefined values, errors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import SecurityError, TemplateError, UndefinedError

from nbops.base.errors import ActionFailed, NbopsError
from nbops.base.secret import Secret
from nbops.runbook.values import fail_if_missing, mark, take


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Filters that move values about without reading them: secrets stay in place within.
STRUCTURAL_FILTERS = _words(
    "batch combine count dict2items dictsort difference extract first flatten groupby intersect "
    "items items2dict last length list map product rekey_on_member reject rejectattr reverse "
    "select selectattr slice subelements symmetric_difference type_debug union unique zip "
    "zip_longest"
)
# Filters that take any value, undefined ones and secrets too, and pass it on.
OPEN_FILTERS = _words("d default mandatory ternary")
# Filters whose result tells nothing of the secret that was read.
TELLING_NOTHING = _words("bool count length type_debug")
OPEN_TESTS = _words("defined undefined")
SHALLOW_TESTS = _words(
    "callable change changed failed failure falsy iterable mapping none number sequence skip "
    "skipped string success succeeded successful truthy unreachable reachable"
)


def withheld(secret: bool, operation: Callable[[], Any]) -> Any:
    """Run an operation; when it read a secret, its error must not tell the value."""
    if not secret:
        return operation()
    try:
        return operation()
    except (NbopsError, UndefinedError, SecurityError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold the secret
        kind = type(error).__name__
        raise ActionFailed(f"{kind} in an operation on a secret; its text is withheld") from None


def guarded_filters(filters: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Filters that may be given secrets, views and undefined values."""
    return {
        name: function
        if name in OPEN_FILTERS
        else _Guard(
            f"filter `{name}`",
            function,
            structural=name in STRUCTURAL_FILTERS,
            marking=name not in TELLING_NOTHING,
        ).wrapped()
        for name, function in filters.items()
    }


def guarded_tests(tests: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Tests that may be given secrets, views and undefined values."""
    return {
        name: function
        if name in OPEN_TESTS
        else _Guard(
            f"test `{name}`", function, structural=name in SHALLOW_TESTS, marking=False
        ).wrapped()
        for name, function in tests.items()
    }


@dataclass(frozen=True)
class _Guard:
    """A filter or test between the expression and its function.

    `structural`: it is given values as they are, unless the first is a secret. `marking`:
    what it makes of a secret is a secret.
    """

    what: str
    function: Callable[..., Any]
    structural: bool
    marking: bool

    def wrapped(self) -> Callable[..., Any]:
        """The guarded function, with what jinja2 knows of the original."""
        skip = 1 if hasattr(self.function, "jinja_pass_arg") else 0

        @functools.wraps(self.function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                result = self._call(args[:skip], args[skip:], kwargs)
                return list(result) if isinstance(result, Iterator) else result
            except (NbopsError, TemplateError):
                raise
            except Exception as error:
                raise ActionFailed(f"the {self.what} failed: {error}") from error

        return call

    def _call(self, passed: Sequence[Any], values: Sequence[Any], named: Mapping[str, Any]) -> Any:
        if self.structural and not (values and isinstance(values[0], Secret)):
            for value in (*values, *named.values()):
                fail_if_missing(value)
            return self.function(*passed, *values, **named)
        given = [take(value) for value in values]
        others = {key: take(value) for key, value in named.items()}
        secret = any(found for _, found in [*given, *others.values()])
        work = functools.partial(
            self.function,
            *passed,
            *(value for value, _ in given),
            **{key: value for key, (value, _) in others.items()},
        )
        result = withheld(secret, work)
        return mark(result) if secret and self.marking else result
