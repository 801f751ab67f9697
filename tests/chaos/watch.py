"""Visitors while runs are killed: what the balancer and each node answer, also between the runs,
and what must be true of it (design: 503 with Retry-After from before the first node stops until
the new version is verified, never 502, never two versions at once, nothing written is lost)."""

from __future__ import annotations

import http.client
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby

from tests.chaos.machines import NODES, Chaos
from tests.deploy.cluster import ask
from tests.deploy.monitor import Seen, monitor

EVERY = 0.25


@dataclass
class Watch:
    """What was seen by visitors, and which version the nodes served, in the order of time."""

    seen: Seen = field(default_factory=Seen)
    served: list[tuple[float, str]] = field(default_factory=list)

    def wrong(self, old: str, new: str) -> str:
        """What was seen that must not be when visitors had `old` before and `new` after;
        empty when nothing was."""
        wrong = ""
        try:
            if self.seen.of(503):
                self.seen.check_window(old, new)
            else:
                assert old == new, "no 503 on the way to another version"
                self.seen.check_steady(old)
        except AssertionError as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            wrong += f" visitors: {place.line}: {str(error)[:1500]};"
        order = [version for version, _ in groupby(version for _, version in sorted(self.served))]
        if order not in ([old], [old, new]) and not (old == new and _there_and_back(order, old)):
            wrong += f" the nodes served {' then '.join(order)};"
        return wrong

    def lost(self, notes: dict[str, Counter[str]], *, restored: bool) -> str:
        """What visitors were told is written, and is not, or twice. When an older database was
        `restored`, the replaced one, which is kept, has what was written before the 503."""
        live = notes["nocobase"]
        before = set()
        if restored and self.seen.of(503):
            before = self.seen.notes - self.seen.notes_since(self.seen.window[1])
        kept = set().union(*(them for name, them in notes.items() if name != "nocobase"))
        wrong = ""
        if lost := (self.seen.notes - before) - set(live):
            wrong += f" {len(lost)} notes are lost: {sorted(lost)[:3]};"
        if lost := before - kept:
            wrong += f" {len(lost)} notes are in no kept database: {sorted(lost)[:3]};"
        if twice := [note for note in self.seen.notes if live[note] > 1]:
            wrong += f" written twice: {twice[:3]};"
        return wrong


@contextmanager
def watched(chaos: Chaos) -> Iterator[Watch]:
    """Visitors at the balancer and lookers at each node, until the block ends."""
    watch, done = Watch(), threading.Event()
    address = chaos.cluster.address
    lookers = [threading.Thread(target=_look, args=(address(node), watch, done)) for node in NODES]
    with monitor([address("lb")], chaos.sign_in(), every=EVERY) as watch.seen:
        for one in lookers:
            one.start()
        try:
            yield watch
        finally:
            done.set()
            for one in lookers:
                one.join()


def _look(address: str, watch: Watch, done: threading.Event) -> None:
    while not done.wait(2 * EVERY):
        began = time.monotonic()
        try:
            said = ask(f"http://{address}:13000/api/app:getInfo")
        except (OSError, http.client.HTTPException, ValueError):
            continue  # it is down, or not up yet: then it serves no version
        watch.served.append((began, str(said["data"]["version"])))


def _there_and_back(order: list[str], old: str) -> bool:
    return len(order) <= 3 and order[:1] == order[-1:] == [old]
