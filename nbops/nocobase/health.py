"""What the answer of `/api/__health_check` means. Pure.

Source: answers of NocoBase 2.2.15; a 200 says only that the process is up, so the version
is asked for as well (`app:getInfo`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nbops.base.secret import beginning

HEALTH_PATH = "/api/__health_check"
INFO_PATH = "/api/app:getInfo"

NO_ANSWER = 0

# What each process of the app writes into its log when it is up.
HAS_STARTED = "app has been started"


class Health(StrEnum):
    """How an app is, as far as its own address tells."""

    SILENT = "nothing listens yet"
    STARTING = "starting"
    NOT_INSTALLED = "not installed"
    BROKEN = "broken"
    STRANGE = "answers something unknown"
    UP = "up"


# Seconds that a state may stand before it is taken for the last; states that are not
# named here may stand as long as the wait allows.
_PATIENCE = {Health.NOT_INSTALLED: 60.0, Health.BROKEN: 45.0, Health.STRANGE: 45.0}

_CODES = {
    "APP_COMMANDING": Health.STARTING,
    "APP_INITIALIZING": Health.STARTING,
    "APP_INITIALIZED": Health.STARTING,
    "APP_PREPARING": Health.STARTING,
    "APP_STARTING": Health.STARTING,
    "APP_NOT_INSTALLED_ERROR": Health.NOT_INSTALLED,
    "APP_ERROR": Health.BROKEN,
}


@dataclass(frozen=True, slots=True)
class HealthReport:
    """An answer, understood. `message` is the app's own word on what it does."""

    state: Health
    message: str = ""

    @property
    def up(self) -> bool:
        """Whether requests are served."""
        return self.state is Health.UP

    @property
    def patience(self) -> float | None:
        """Seconds that this state may stand before it cannot be hoped to pass; None: any."""
        return _PATIENCE.get(self.state)

    def __str__(self) -> str:
        return self.message or self.state.value


def read_health(status: int, body: str) -> HealthReport:
    """The state that an HTTP status (0: no answer) and body tell."""
    if status == NO_ANSWER:
        return HealthReport(Health.SILENT)
    if status == 200:
        return HealthReport(Health.UP)
    error = _object(_object(_parse(body)).get("error"))
    code = str(error.get("code") or "")
    message = " ".join(str(error.get("message") or "").split())
    if code in _CODES:
        return HealthReport(_CODES[code], message)
    if status == 503 and error.get("maintaining"):
        return HealthReport(Health.STARTING, message)
    return HealthReport(Health.STRANGE, message or f"HTTP {status}")


def read_version(body: str) -> str | None:
    """The version in an answer of `app:getInfo`; None when there is none."""
    version = _object(_object(_parse(body)).get("data")).get("version")
    return str(version) if version else None


_ADVICE = (
    (
        "adapter",
        "not registered",
        "the cluster plugins are not there: set plugins.package_service, or use an image that"
        " has them, or do without them on one node (`plugins: {append: []}`)",
    ),
    (
        "database",
        "connect",
        "look at `database:` in the inventory, and whether its host lets the nodes in",
    ),
    (
        "record has changed since last read",
        "nodes that start together write the same rows: set `innodb_snapshot_isolation = OFF` in"
        " MariaDB (where nbops runs it, `nbops deploy` does)",
    ),
)


def advice(message: str) -> str:
    """What to do about a state whose message is this; empty when nothing is known."""
    said = message.lower()
    return next((way for *words, way in _ADVICE if all(word in said for word in words)), "")


def app_error(body: str) -> str:
    """The first message of an answer that is an error; empty when it says none."""
    document = _object(_parse(body))
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else document.get("error")
    return beginning(" ".join(str(_object(first).get("message") or "").split()), 200)


def _parse(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
