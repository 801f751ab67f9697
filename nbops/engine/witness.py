"""For jobs where no record of the lock is kept, as on this computer: a host that has one is asked.

The user's own balancer is commanded from here. A run that was paused, and lost the lock meanwhile,
may switch it no more than it may touch a host.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable

from nbops.base.command import Command, quote
from nbops.base.errors import ActionFailed, ConnectionLost, FenceRefused, HostUnusable
from nbops.transport.session import Fence, Session

_DEADLINE = 30.0


class Witness:
    """The hosts of a cluster, of which one is asked; `fence_of` gives what a job there carries,
    None while the lock is not taken."""

    def __init__(
        self,
        hosts: Iterable[str],
        session: Callable[[str], Session],
        fence_of: Callable[[str], Fence | None],
    ) -> None:
        self._hosts = sorted(hosts)
        self._session = session
        self._fence_of = fence_of
        self._turn = threading.Lock()

    def check(self) -> None:
        """Ask the host that answered last, or else the next one.

        Raises FenceRefused when it knows a newer run, ActionFailed when it has no record, and
        ConnectionLost or HostUnusable when no host answers.
        """
        lost: HostUnusable | ConnectionLost | None = None
        for host in tuple(self._hosts):
            try:
                self._ask(host)
            except (HostUnusable, ConnectionLost) as error:
                lost = error
                continue
            with self._turn:
                self._hosts.sort(key=lambda one: one != host)
            return
        if lost is not None:
            raise lost

    def _ask(self, host: str) -> None:
        fence = self._fence_of(host)
        if fence is None:
            return
        command = Command(f"head -n 1 {quote(fence.path)}", deadline=_DEADLINE)
        said = self._session(host).run(command).out.strip()
        if not re.fullmatch(r"[0-9]{1,18}", said):
            raise ActionFailed(
                f"the lock's record {fence.path} on {host} is gone or cannot be read",
                hint="see `nbops lock show`",
            )
        if int(said) > fence.number:
            raise FenceRefused(
                f"a newer run holds {host} (number {said}, this run has {fence.number})",
                hint="this run may do nothing here any more: see `nbops lock show`",
            )
