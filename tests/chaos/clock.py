"""nbops on a computer whose clock is wrong: `python -m tests.chaos.clock SECONDS ARGUMENTS…`.

All that Python tells of the time of day is shifted, before the first module of nbops is loaded.
The clock that only measures how long something takes goes as it goes.
"""

from __future__ import annotations

import datetime
import sys
import time
from typing import Any


class _AsBefore(type):
    """A date that was made elsewhere, as by the loader of YAML, is one as well."""

    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, cls.__mro__[1])


def shift(seconds: float) -> None:
    """Let this process believe that it is so many seconds later."""
    true_time, true_datetime = time.time, datetime.datetime

    class Shifted(true_datetime, metaclass=_AsBefore):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return true_datetime.fromtimestamp(time.time(), tz)

        @classmethod
        def today(cls) -> Any:
            return cls.now()

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(datetime.UTC).replace(tzinfo=None)

    def of(given: tuple[float | None, ...]) -> float:
        return time.time() if not given or given[0] is None else given[0]

    local, utc, text = time.localtime, time.gmtime, time.strftime
    patched: Any = time
    patched.time = lambda: true_time() + seconds
    patched.time_ns = lambda: int((true_time() + seconds) * 1e9)
    patched.localtime = lambda *given: local(of(given))
    patched.gmtime = lambda *given: utc(of(given))
    patched.strftime = lambda form, *given: text(form, *(given or (time.localtime(),)))
    vars(datetime)["datetime"] = Shifted


def main() -> None:
    """Run the command line."""
    shift(float(sys.argv.pop(1)))
    from nbops.cli.main import main as nbops

    nbops()


if __name__ == "__main__":
    sys.argv[0] = "nbops"
    main()
