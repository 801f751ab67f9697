"""Values as expressions see them: lazy views of variables, secrets in operands, undefined.

Containers of variables reach an expression as views: reading one leaf renders that leaf
only, and nothing an expression does can change the variable. Secrets travel in place inside
containers; an operation that reads one gives a secret (`take` and `mark`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined
from jinja2.utils import missing
from markupsafe import Markup

from nbops.base.errors import ActionFailed, Place
from nbops.base.secret import Secret
from nbops.base.yamlpos import YamlMap, YamlSeq

Render = Callable[[str, str, Place | None], Any]


class Omit:
    """The type of `omit`: in a list or mapping it takes its item away."""

    _instance: Omit | None = None

    def __new__(cls) -> Omit:
        """The one there is."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "<<Omit>>"


OMIT: Final = Omit()

_PLAIN = (str, int, float, bool, type(None))
_SCALARS = (*_PLAIN, Secret, bytes, datetime.date, datetime.datetime, datetime.timedelta, Omit)


class Missing(StrictUndefined):
    """An undefined value: any use is an error, but `a.b.c | default(x)` may look deeper."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is missing:
            return f"'{self._undefined_name}' is undefined"
        return (
            f"object of type '{type_name(self._undefined_obj)}' has no attribute "
            f"{self._undefined_name!r}"
        )


class MapView(Mapping[Any, Any]):
    """A mapping of a variable; its values are rendered when read, once."""

    __slots__ = ("_cache", "_path", "_raw", "_render")

    def __init__(self, raw: Mapping[Any, Any], render: Render | None, path: str) -> None:
        self._raw = raw
        self._render = render
        self._path = path
        self._cache: dict[Any, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        try:
            return self._cache[key]
        except KeyError:
            raw = self._raw[key]
        places = self._raw.value_places if isinstance(self._raw, YamlMap) else {}
        value = view(raw, self._render, f"{self._path}.{key}", places.get(key))
        self._cache[key] = value
        return value

    def __iter__(self) -> Iterator[Any]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __contains__(self, key: object) -> bool:
        return key in self._raw

    def values(self) -> list[Any]:  # type: ignore[override]
        """All values; raises jinja2's UndefinedError when one is undefined."""
        return [defined(self[key]) for key in self]

    def items(self) -> list[tuple[Any, Any]]:  # type: ignore[override]
        """All pairs; raises jinja2's UndefinedError when a value is undefined."""
        return [(key, defined(self[key])) for key in self]

    def __repr__(self) -> str:
        return repr(plain(self))


class SeqView(Sequence[Any]):
    """A list of a variable; its items are rendered when read, once."""

    __slots__ = ("_cache", "_path", "_raw", "_render")

    def __init__(self, raw: Sequence[Any], render: Render | None, path: str) -> None:
        self._raw = raw
        self._render = render
        self._path = path
        self._cache: dict[int, Any] = {}

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self._raw)))]
        number = range(len(self._raw))[index]
        if number not in self._cache:
            places = self._raw.item_places if isinstance(self._raw, YamlSeq) else []
            place = places[number] if number < len(places) else None
            path = f"{self._path}[{number}]"
            self._cache[number] = view(self._raw[number], self._render, path, place)
        return self._cache[number]

    def __iter__(self) -> Iterator[Any]:
        return (defined(self[number]) for number in range(len(self._raw)))

    def __len__(self) -> int:
        return len(self._raw)

    def __eq__(self, other: object) -> bool:
        return bool(plain(self) == other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(plain(self))


def view(raw: Any, render: Render | None, path: str, place: Place | None) -> Any:
    """`raw` for an expression: containers as views, text rendered when `render` is given."""
    if isinstance(raw, str):
        return raw if render is None else render(raw, path, place)
    if isinstance(raw, dict):
        return MapView(raw, render, path)
    if isinstance(raw, list | tuple):
        return SeqView(raw, render, path)
    return raw


def type_name(value: Any) -> str:
    """The name of a value's type as a user knows it."""
    if isinstance(value, str | Secret):
        return "str"
    if isinstance(value, Mapping):
        return "dict"
    if isinstance(value, SeqView):
        return "list"
    return type(value).__name__


def fail_if_missing(value: Any) -> None:
    """Raise jinja2's UndefinedError when `value` is undefined.

    What an `if` without `else` gives is not meant: as in jinja2 it is empty text.
    """
    if isinstance(value, StrictUndefined):
        value._fail_with_undefined_error()


def defined(value: Any) -> Any:
    """`value`, unless it is undefined: then jinja2's UndefinedError is raised."""
    fail_if_missing(value)
    return value


def plain(value: Any) -> Any:
    """`value` as plain data of its own: dicts, lists, scalars; secrets stay in place.

    Raises jinja2's UndefinedError for an undefined value at any depth, ActionFailed for
    what is no data (a function, a method). `omit` takes its item away.
    """
    if isinstance(value, _SCALARS):
        return str(value) if isinstance(value, Markup) else value
    if isinstance(value, Mapping):
        pairs = ((plain(key), plain(value[key])) for key in value)
        return {key: item for key, item in pairs if item is not OMIT}
    if isinstance(value, range):
        raise ActionFailed("a range is no value: write `range(…) | list`")
    if isinstance(value, Sequence | Set | Generator) or _is_lazy(value):
        return [item for item in map(plain, value) if item is not OMIT]
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    raise ActionFailed(f"a {type_name(value)} is no value that can be kept or passed on")


def take(value: Any) -> tuple[Any, bool]:
    """`value` to operate on, and whether a secret is in it; secrets are revealed.

    Tuples stay tuples (`%` needs them). Things that are no data pass as they are.
    """
    if isinstance(value, Secret):
        return value.reveal(), True
    if isinstance(value, _PLAIN):
        return value, False
    if isinstance(value, Mapping):
        pairs = [(take(key), take(value[key])) for key in value]
        found = any(key[1] or item[1] for key, item in pairs)
        return {key[0]: item[0] for key, item in pairs}, found
    if isinstance(value, list | tuple | SeqView | Set | Generator) or _is_lazy(value):
        items = [take(item) for item in value]
        data: Any = [item[0] for item in items]
        if isinstance(value, tuple):
            data = tuple(data)
        return data, any(item[1] for item in items)
    fail_if_missing(value)
    return value, False


def mark(value: Any) -> Any:
    """What was made of a secret: text and numbers become secrets, truth values do not."""
    if value is None or isinstance(value, bool | Secret | Undefined | Omit):
        return value
    if isinstance(value, Mapping):
        return {key: mark(value[key]) for key in value}
    if isinstance(value, bytes):
        return Secret(value.decode("utf-8", "replace"))
    if isinstance(value, list | tuple | Set | Generator | SeqView) or _is_lazy(value):
        return [mark(item) for item in value]
    return Secret(str(value))


def concat(nodes: Sequence[Any]) -> Any:
    """What a template's pieces are together: one piece keeps its type, several are text."""
    if not nodes:
        return None
    if len(nodes) == 1:
        return nodes[0]
    return as_text([_finished(node) for node in nodes])


def _finished(node: Any) -> Any:
    """A piece of text as data; what an `if` without `else` gives is nothing."""
    if isinstance(node, str | Secret | range):
        return node
    if isinstance(node, Undefined) and not isinstance(node, StrictUndefined):
        return None
    return plain(node)


def with_newlines(value: Any, source: str) -> Any:
    """A template's value; when it is text, it ends with as many newlines as its source."""
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not source.endswith("\n"):
        return value
    text += "\n" * (_newlines_at_end(source) - _newlines_at_end(text))
    return Secret(text) if isinstance(value, Secret) else text


def _newlines_at_end(text: str) -> int:
    return len(text) - len(text.rstrip("\n"))


def as_text(nodes: Sequence[Any]) -> str | Secret:
    """Pieces as one text, None and `omit` as nothing; a Secret when one went into it."""
    texts = []
    secret = False
    for node in nodes:
        value, found = take(node)
        secret = secret or found
        if value is not None and value is not OMIT:
            texts.append(str(value))
    text = "".join(texts)
    return Secret(text) if secret else text


def _is_lazy(value: Any) -> bool:
    """Whether `value` is an iterator or a view of dict keys, values or items."""
    return isinstance(value, Iterator) or type(value).__name__ in {
        "dict_keys",
        "dict_values",
        "dict_items",
        "KeysView",
        "ValuesView",
        "ItemsView",
    }
