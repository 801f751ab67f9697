"""Names for runs and steps that stay the same when a run is resumed."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime


def new_run_id(now: datetime | None = None) -> str:
    """A name for a run: sorts by time, is safe as a file name, is never drawn twice."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class StepId:
    """One effect in a run: place in the plan, host, loop item, attempt, part.

    `path` is the place of the task in the plan (`0.2.1`: play, task, task in a block).
    `item` counts from 0 (-1 outside a loop), `attempt` from 1; `part` counts the commands
    that one action sends, and `text` tells different ones apart: an action that is done again
    may leave out what it finds done, and its second command must not be taken for the first.
    """

    path: str
    host: str
    item: int = -1
    attempt: int = 1
    part: int = 0
    text: str = ""

    def next_part(self) -> StepId:
        """The id of the next command of the same action."""
        return replace(self, part=self.part + 1)

    @property
    def of_item(self) -> str:
        """What the ids of all commands and attempts of this item begin with."""
        item = "" if self.item < 0 else f"i{self.item}"
        return f"{self.path}/{self.host}/{item}a"

    def __str__(self) -> str:
        text = f"-{self.text}" if self.text else ""
        return f"{self.of_item}{self.attempt}p{self.part}{text}"


def file_name(text: str) -> str:
    """`text` as a file name: letters, digits, `.`, `_`, `-`; different texts stay different."""

    def escape(match: re.Match[str]) -> str:
        return "".join(f"%{byte:02x}" for byte in match[0].encode())

    return re.sub(r"[^A-Za-z0-9._-]|^\.", escape, text)
