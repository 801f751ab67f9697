"""Events as runs send them, for the tests of all reports."""

from __future__ import annotations

from typing import Any

from nbops.base.events import (
    Event,
    MaintenanceMark,
    Note,
    PhaseStarted,
    PlayStarted,
    RunEnded,
    RunStarted,
    Status,
    StepEnded,
    StepProgress,
    TaskStarted,
)

NODES = ("node1", "node2", "node3")


def started(hosts: tuple[str, ...] = NODES, *, check: bool = False) -> RunStarted:
    return RunStarted(time=0, run="R1", command="deploy", cluster="demo", hosts=hosts, check=check)


def phase(name: str, *, time: float = 0) -> PhaseStarted:
    return PhaseStarted(time=time, phase=name)


def play(name: str, hosts: tuple[str, ...] = NODES) -> PlayStarted:
    return PlayStarted(time=0, play=name, hosts=hosts)


def task(
    name: str,
    hosts: tuple[str, ...] = NODES,
    *,
    time: float = 0,
    action: str = "command",
    handler: bool = False,
) -> TaskStarted:
    return TaskStarted(time=time, step=name, task=name, action=action, hosts=hosts, handler=handler)


def progress(name: str, host: str, message: str, *, time: float = 0) -> StepProgress:
    return StepProgress(time=time, step=name, task=name, host=host, message=message)


def ended(
    name: str,
    host: str,
    status: str = "ok",
    *,
    time: float = 0,
    seconds: float = 0,
    action: str = "command",
    **fields: Any,
) -> StepEnded:
    return StepEnded(
        time=time,
        step=name,
        task=name,
        action=action,
        host=host,
        status=Status(status),
        seconds=seconds,
        **fields,
    )


def note(message: str, level: str = "warning", **fields: str) -> Note:
    return Note(time=0, level=level, message=message, **fields)


def maintenance(host: str, *, on: bool, time: float = 0) -> MaintenanceMark:
    return MaintenanceMark(time=time, host=host, on=on)


def over(
    recap: dict[str, dict[str, int]],
    *,
    exit_code: int = 0,
    seconds: float = 0,
    message: str = "",
) -> RunEnded:
    return RunEnded(
        time=seconds,
        run="R1",
        exit_code=exit_code,
        seconds=seconds,
        recap=recap,
        message=message,
    )


def good_run() -> list[Event]:
    """A deploy in which one node waits, one task changes all, and nothing fails."""
    write, start = "Write the environment", "Start the first node"
    return [
        started(),
        phase("prepare"),
        play("Nodes"),
        task(write),
        ended(write, "node1", "changed"),
        ended(write, "node2"),
        ended(write, "node3"),
        phase("start"),
        task(start, ("node1",), time=1),
        progress(start, "node1", "load plugin [ai], 1/77", time=2),
        progress(start, "node1", "load plugin [acl], 2/77", time=3),
        progress(start, "node1", "load plugin [map], 60/77", time=8),
        ended(start, "node1", "changed", time=15, seconds=14.2),
        over(
            {"node1": {"ok": 2, "changed": 2}, "node2": {"ok": 1}, "node3": {"ok": 1}},
            seconds=15.3,
            message="NocoBase 2.2.15 serves at http://198.18.0.2",
        ),
    ]
