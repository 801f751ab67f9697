"""A run on the live view, for the test that watches it through a pseudo-terminal.

Arguments: number of hosts, and how it ends: `well`, `raise` or `hang`.
"""

import dataclasses
import sys
import time

from report_events import ended, over, phase, progress, started, task

from nbops.base.events import Event
from nbops.report.terminal import TerminalObserver

count, end = int(sys.argv[1]), sys.argv[2]
hosts = tuple(f"node{number}" for number in range(1, count + 1))
observer = TerminalObserver()


def send(event: Event) -> None:
    observer.on_event(dataclasses.replace(event, time=time.time()))


try:
    send(started(hosts))
    send(phase("prepare"))
    send(task("Start and wait", hosts))
    for number in range(4):
        send(progress("Start and wait", "node1", f"load plugin {number}/77 中文\x1b[2J"))
        time.sleep(0.3)
    if end == "raise":
        raise KeyboardInterrupt
    if end == "hang":
        time.sleep(60)
    for host in hosts:
        send(ended("Start and wait", host, "changed"))
    send(over({host: {"ok": 1, "changed": 1} for host in hosts}, seconds=2))
finally:
    observer.close()
