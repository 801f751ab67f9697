"""What arguments may look like: Ansible's coercions, as types for the models of actions."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, JsonValue

from nbops.base.command import Text
from nbops.base.secret import Secret

_SCALARS = (bool, int, float, datetime.date, datetime.datetime)


def to_text(value: Any) -> Any:
    """Numbers, truth values and dates as text (`True` as Ansible writes it); the rest as it is."""
    return str(value) if isinstance(value, _SCALARS) else value


def to_plain(value: Any) -> Any:
    """Like `to_text`, for what shows on the host's process list and so is never a secret."""
    if isinstance(value, Secret):
        raise ValueError("a secret cannot stand here: it would show in the host's process list")
    return to_text(value)


def to_line(value: Any) -> Any:
    """Like `to_plain`, for what programs get as arguments: says what to do with a secret."""
    if isinstance(value, Secret):
        raise ValueError(
            "a secret cannot stand here: it would show in the host's process list; hand it over "
            "by `environment` or `stdin`"
        )
    return to_text(value)


def to_optional_path(value: Any) -> Any:
    """A path as text; an empty one is none at all."""
    text = to_plain(value)
    return None if text == "" else text


def to_path(value: Any) -> Any:
    """A path as text: not empty and without NUL, which no path can hold."""
    text = to_plain(value)
    if text == "":
        raise ValueError("an empty path")
    return text


def to_list(value: Any) -> Any:
    """A list as it is; a text split at commas; any other single value as a list of one."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if value is None or (isinstance(value, Sequence) and not isinstance(value, bytes)):
        return value
    return [value]


def to_content(value: Any) -> Any:
    """Text for a file: mappings and lists become JSON, as Ansible writes them."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    return to_text(value)


def to_mode(value: Any) -> Any:
    """A file mode as text: octal digits, symbolic (`u+x,go-w`), or `preserve`.

    A number is the mode itself, as YAML reads `0644` (which is 420); an empty text is none.
    """
    if value == "":
        return None
    if isinstance(value, bool | Secret):
        raise ValueError("a mode is octal digits in quotes, such as '0644', or symbolic")
    if isinstance(value, int):
        if not 0 <= value <= 0o7777:
            raise ValueError(f"{value} is not a file mode: write it in quotes, such as '0644'")
        return f"{value:04o}"
    return value


def no_nul(text: str) -> str:
    """`text`, refused when it holds a NUL: no argument or path on the host can."""
    if "\0" in text:
        raise ValueError("a NUL character cannot be handed to a program")
    return text


def _no_nul(value: Any) -> Any:
    no_nul(value.reveal() if isinstance(value, Secret) else value if isinstance(value, str) else "")
    return value


AnyText = Annotated[Text, BeforeValidator(lambda value: _no_nul(to_text(value)))]
Plain = Annotated[str, BeforeValidator(lambda value: _no_nul(to_plain(value)))]
Line = Annotated[str, BeforeValidator(lambda value: _no_nul(to_line(value)))]
OptionalPath = Annotated[
    str | None, BeforeValidator(lambda value: _no_nul(to_optional_path(value)))
]
Path = Annotated[str, BeforeValidator(lambda value: _no_nul(to_path(value)))]
Content = Annotated[Text, BeforeValidator(to_content)]
Mode = Annotated[str | None, BeforeValidator(to_mode)]
PlainList = Annotated[list[Plain], BeforeValidator(to_list)]
# In a field's `json_schema_extra`: the argument is an expression without braces, which the action
# evaluates itself. It must reach the action as it was written: what came from a host could
# otherwise become one.
EXPRESSION: dict[str, JsonValue] = {"expression": True}
