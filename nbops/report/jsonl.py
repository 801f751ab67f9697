"""Events as JSON, one a line: for programs that watch a run."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import date, time
from enum import Enum
from typing import Any, TextIO

from nbops.base.events import Event, RunEnded
from nbops.base.secret import MASK, Secret
from nbops.report.downtime import Downtime
from nbops.report.out import Out

_DEEPEST = 64


class JsonObserver:
    """Prints every event as one JSON object on a line of its own; the last one bears the 503
    time and its parts, in seconds, when there was any."""

    def __init__(self, stream: TextIO, *, downtime: Downtime | None = None) -> None:
        self._out = Out(stream)
        self._downtime = downtime or Downtime()

    def on_event(self, event: Event) -> None:
        """Print the event."""
        self._downtime.take(event)
        data = event.as_dict()
        if isinstance(event, RunEnded):
            data |= self._told(event.time)
        self._out.write(as_line(data))

    def close(self) -> None:
        """Nothing is held back, so there is nothing to do."""

    def _told(self, now: float) -> dict[str, Any]:
        down = self._downtime
        down.until(now)
        if not down.parts:
            return {}
        parts = {name: round(seconds, 3) for name, seconds in down.parts.items()}
        told = {"seconds": round(down.seconds, 3), "stands": down.stands, "parts": parts}
        return {"downtime": told}


def as_line(data: Mapping[str, Any]) -> str:
    """`data` as one line of JSON, in ASCII, whatever it holds."""
    return json.dumps(plain_data(data), separators=(",", ":"), allow_nan=False)


def plain_data(value: Any, depth: int = 0) -> Any:
    """`value` as JSON knows it.

    Bytes become text, sets become lists, secrets their mask, numbers that JSON cannot write
    (infinity, not a number) text; any other object is named by its `str`.
    """
    result: Any
    match value:
        case None | bool():
            result = value
        case Secret():
            result = MASK
        case Enum():
            result = plain_data(value.value, depth + 1)
        case str():
            result = str(value)
        case int():
            result = int(value)
        case float():
            result = value if math.isfinite(value) else str(value)
        case _ if depth > _DEEPEST:
            result = "…"
        case _:
            result = _composite(value, depth + 1)
    return result


def _composite(value: Any, depth: int) -> Any:
    result: Any
    match value:
        case bytes() | bytearray():
            result = value.decode("utf-8", "replace")
        case Mapping():
            result = {_key(key): plain_data(item, depth) for key, item in value.items()}
        case set() | frozenset():
            result = sorted((plain_data(item, depth) for item in value), key=repr)
        case list() | tuple():
            result = [plain_data(item, depth) for item in value]
        case date() | time():
            result = value.isoformat()
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = dataclasses.fields(value)
            result = {field.name: plain_data(getattr(value, field.name), depth) for field in fields}
        case _:
            result = _named(value)
    return result


def _key(key: Any) -> str:
    if isinstance(key, Enum):
        key = key.value
    return key if type(key) is str else str(key)


def _named(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  the object's own method: it may not stop the report
        return f"<{type(value).__name__}>"
