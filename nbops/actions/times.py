"""When a file was read and changed last: what `file` is asked to set, and whether it differs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from nbops.actions.paths import Answer, PathState
from nbops.base.command import quote

FORMAT = "%Y%m%d%H%M.%S"
PRESERVE = "preserve"
NOW = "now"


def clock_time(text: str, form: str) -> str:
    """A time in a format of `strptime`, as `date -d` reads it. Raises ValueError."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.strptime(text, form))
    except ValueError as error:
        raise ValueError(
            f"Error while obtaining timestamp for time {text} using format {form}: {error}"
        ) from None


@dataclass(frozen=True, slots=True)
class Times:
    """The times asked for, by touch's option (`-m`, `-a`): `preserve`, `now`, or a clock time.

    `epochs` holds what the host's clock makes of clock times, in seconds.
    """

    asked: Mapping[str, str]
    epochs: Mapping[str, int]

    @property
    def preserved(self) -> bool:
        """Whether there is nothing to set."""
        return all(one == PRESERVE for one in self.asked.values())

    def script(self, there: PathState) -> str:
        """Commands that set them on the path in `$1`; "" when nothing differs."""
        if not self._differ(there):
            return ""
        lines = []
        for option, one in self.asked.items():
            if one == NOW:
                lines.append(f'touch {option} -- "$1"\n')
            elif one != PRESERVE:
                lines.append(f'touch {option} -d {quote(one)} -- "$1"\n')
        return "".join(lines)

    def _differ(self, there: PathState) -> bool:
        now = {"-m": there.mtime, "-a": there.atime}
        return any(
            one == NOW or (one != PRESERVE and self.epochs[option] != now[option])
            for option, one in self.asked.items()
        )


def probe(asked: Mapping[str, str]) -> str:
    """Script lines that print what the host's clock makes of the times asked for."""
    return "".join(
        f"date -d {quote(one)} +%s; printf '\\0'\n"
        for one in asked.values()
        if one not in {NOW, PRESERVE}
    )


def read(asked: Mapping[str, str], answer: Answer) -> Times:
    """What `probe` printed."""
    epochs = {
        option: int(answer.text()) for option, one in asked.items() if one not in {NOW, PRESERVE}
    }
    return Times(asked, epochs)
