"""Which machine a host is: told by the host itself, before it carries out anything.

An address can come to lead to another machine while a run goes on: a name that resolves anew,
an address that another one took over, a machine that was made anew with its old host key. What
was decided for one machine is never done on another.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from nbops.base.errors import HostFault, HostUnusable

_ID = re.compile(r"[0-9a-f]{32}")
UNKNOWN = "-"


def _nobody(_machine: str) -> None:
    """Nobody keeps it."""


class Machine:
    """The machine id (machine-id(5)) that a host has for the whole of a run.

    `id` is the one recorded when the run began; empty until the host is met for the first
    time, when `note` is given it. A host that never had an id is not held against one.
    """

    def __init__(self, host: str, id: str = "", note: Callable[[str], None] = _nobody) -> None:  # noqa: A002
        self.host = host
        self.id = id
        self._note = note
        self._turn = threading.Lock()

    def meet(self, shown: str) -> None:
        """Take what a shell of the host says. Raises HostUnusable when it is another machine."""
        if not _ID.fullmatch(shown):
            return
        with self._turn:
            if not self.id:
                self.id = shown
                self._note(shown)
        if shown != self.id:
            raise self.refusal(shown)

    def refusal(self, shown: str) -> HostUnusable:
        """The error of a host that has become another machine."""
        has = f"machine id {shown}" if _ID.fullmatch(shown) else "no machine id"
        return HostUnusable(
            f"{self.host} is another machine than the one that this run began with: it has {has}, "
            f"and had {self.id}; nothing was done there",
            host=self.host,
            fault=HostFault.WRONG_MACHINE,
            hint=f"see where {self.host} leads (`cat /etc/machine-id` there); if it was replaced on"
            " purpose, `nbops abort --changed` or `nbops resume --changed` takes it as it is",
        )
