"""Secrets: values that mask themselves, and a masker for text that may hold one."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

MASK = "********"
_SHORTEST_MASKED = 4

T = TypeVar("T")


class Secret:
    """A text that shows as asterisks wherever it is printed, logged, formatted or pickled.

    `reveal()` is the only way to the value. Two secrets are equal when their values are.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it to a host."""
        return self._value

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled or copied out of the process")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self


def reveal(value: str | Secret) -> str:
    """The text of `value`, secret or not."""
    return value.reveal() if isinstance(value, Secret) else value


class Masker:
    """Replaces every known secret in text and data: for what comes back from hosts.

    A secret of fewer than four characters is masked by its type alone: to replace `a`
    everywhere would hide the output and not the secret.
    """

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._ordered: tuple[str, ...] = ()
        self._change = threading.Lock()

    def learn(self, secret: Secret | str) -> None:
        """Mask this value from now on, and each of its lines when it has several."""
        text = reveal(secret)
        parts = {text, *(line.strip() for line in text.splitlines())}
        with self._change:
            self._values |= {part for part in parts if len(part) >= _SHORTEST_MASKED}
            self._ordered = tuple(sorted(self._values, key=len, reverse=True))

    def text(self, text: str) -> str:
        """`text` with every known secret replaced, the longest first."""
        for value in self._ordered:
            if value in text:
                text = text.replace(value, MASK)
        return text

    def data(self, value: Any) -> Any:
        """Plain data (mappings, lists, text) masked throughout; other values as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Secret):
            return MASK
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "replace"))
        if isinstance(value, Mapping):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.data(item) for item in value]
        return value

    def event(self, event: T) -> T:
        """A dataclass with all its fields masked."""
        changes = {
            field.name: self.data(getattr(event, field.name))
            for field in dataclasses.fields(event)  # type: ignore[arg-type]
            if not isinstance(getattr(event, field.name), bool | int | float)
        }
        return dataclasses.replace(event, **changes)  # type: ignore[type-var]
