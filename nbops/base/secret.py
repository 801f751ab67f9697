"""Secrets: values that mask themselves, and a masker for text that may hold one."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, quote_plus

from nbops.base.clean import seen

MASK = "********"
CUT = "[…]"
_SHORTEST_MASKED = 4
_SHORTEST_IN_BASE64 = 8  # of a shorter one, what no neighbour changes could be any text

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


def beginning(text: str, most: int) -> str:
    """At most so many letters of the beginning of `text`; the masker sees that it was cut."""
    shown = text if len(text) <= most else seen(text)
    return shown if len(shown) <= most else f"{shown[: most - len(CUT)]}{CUT}"


def ending(text: str, most: int) -> str:
    """At most so many letters of the end of `text`; the masker sees that it was cut."""
    shown = text if len(text) <= most else seen(text)
    return shown if len(shown) <= most else f"{CUT}{shown[len(shown) - most + len(CUT) :]}"


def forms(text: str) -> Iterator[str]:
    """A text as it is, and as files, addresses, JSON, shells and base64 write it."""
    yield text
    for strict in (True, False):
        in_json = json.dumps(text, ensure_ascii=strict)[1:-1]
        yield in_json
        yield json.dumps(in_json, ensure_ascii=strict)[1:-1]  # JSON in JSON: logs of containers
    yield repr(text)[1:-1]
    yield re.sub(r'([\\"$])', r"\\\1", text)  # in double quotes: environment files
    yield re.sub(r'([\\"$`])', r"\\\1", text)  # the same of a shell
    yield text.replace("$", "$$")  # Docker Compose
    yield text.replace("'", "'\\''")
    yield text.replace("'", "'\"'\"'")
    yield text.replace("'", "''")  # SQL and YAML
    yield from (quote(text, safe=""), quote(text), quote_plus(text))
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) < _SHORTEST_IN_BASE64:
        return
    for before in range(3):  # wherever it begins within what was encoded
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            coded = encode(bytes(before) + raw).decode().rstrip("=")
            whole = (before + len(raw)) * 8 // 6
            yield coded[(before * 8 + 5) // 6 : whole]


def _by(values: Sequence[str], part: slice) -> dict[str, set[str]]:
    """The values by this part of each."""
    found: dict[str, set[str]] = {}
    for value in values:
        found.setdefault(value[part], set()).add(value)
    return found


class Masker:
    """Replaces every known secret in text and data: for what comes back from hosts.

    It is known as it is and in the forms in which files, addresses, JSON, shells and base64
    write it; what else a program makes of it (a digest, a part of it) is not. Colours and
    other unseen signs within it do not hide it, nor does a cut by `beginning` or `ending`.

    A secret of fewer than four characters is masked by its type alone: to replace `a`
    everywhere would hide the output and not the secret.
    """

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._values: set[str] = set()
        self._ordered: tuple[str, ...] = ()
        self._longest = 0
        self._begun: dict[str, set[str]] = {}
        self._ended: dict[str, set[str]] = {}
        self._change = threading.Lock()

    def learn(self, secret: Secret | str) -> None:
        """Mask this value from now on, and each of its lines when it has several."""
        text = reveal(secret)
        parts = {text, seen(text), *(line.strip() for line in text.splitlines())}
        with self._change:
            self._secrets.add(text)
            for part in parts:
                if len(part) >= _SHORTEST_MASKED:
                    self._values.update(forms(part))
            self._ordered = tuple(sorted(self._values, key=len, reverse=True))
            self._longest = len(self._ordered[0]) if self._ordered else 0
            self._begun = _by(self._ordered, slice(None, _SHORTEST_MASKED))
            self._ended = _by(self._ordered, slice(-_SHORTEST_MASKED, None))

    def without(self, openly: Callable[[str], bool]) -> Masker:
        """One that knows the same secrets but those that are written `openly` anyway."""
        found = Masker()
        with self._change:
            secrets = tuple(self._secrets)
        for secret in secrets:
            if not openly(secret):
                found.learn(secret)
        return found

    def text(self, text: str) -> str:
        """`text` with every known secret replaced, the longest first.

        Where one was broken up by what is not seen, all of that is taken out of the text.
        """
        shown = self._replaced(text)
        bare = seen(shown)
        if bare is shown:
            return shown
        masked = self._replaced(bare)
        return shown if masked == bare else masked

    def _replaced(self, text: str) -> str:
        for value in self._ordered:
            if value in text:
                text = text.replace(value, MASK)
        if CUT not in text:
            return text
        first, *rest = text.split(CUT)
        pieces = [first, *map(self._not_ended, rest)]
        return CUT.join([*map(self._not_begun, pieces[:-1]), pieces[-1]])

    def _not_begun(self, text: str) -> str:
        """`text`, which was cut at its end, without the beginning of a secret there."""
        for at in range(max(0, len(text) - self._longest), len(text) - _SHORTEST_MASKED + 1):
            begun = self._begun.get(text[at : at + _SHORTEST_MASKED], ())
            if any(value.startswith(text[at:]) for value in begun):
                return text[:at] + MASK
        return text

    def _not_ended(self, text: str) -> str:
        """`text`, which was cut at its beginning, without the end of a secret there."""
        for end in range(min(len(text), self._longest), _SHORTEST_MASKED - 1, -1):
            ended = self._ended.get(text[end - _SHORTEST_MASKED : end], ())
            if any(value.endswith(text[:end]) for value in ended):
                return MASK + text[end:]
        return text

    def data(self, value: Any) -> Any:
        """Plain data (mappings, lists, text) masked throughout; of other values those that are
        written as a secret is, such as a number."""
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.data(item) for item in value]
        if isinstance(value, bool):
            return value
        return MASK if isinstance(value, Secret) or str(value) in self._values else value

    def event(self, event: T) -> T:
        """A dataclass with all its fields masked."""
        changes = {
            field.name: self.data(getattr(event, field.name))
            for field in dataclasses.fields(event)  # type: ignore[arg-type]
            if not isinstance(getattr(event, field.name), bool | int | float)
        }
        return dataclasses.replace(event, **changes)  # type: ignore[type-var]
