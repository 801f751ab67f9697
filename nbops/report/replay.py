"""Events read back from where they were kept: the journal, or a file of `--json` lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from nbops.base import events
from nbops.base.events import Event, Status
from nbops.lab.events import LabStep

_KINDS: dict[str, type[Event]] = {
    one.kind: one
    for one in (
        events.RunStarted,
        events.RunEnded,
        events.PhaseStarted,
        events.PlayStarted,
        events.TaskStarted,
        events.StepProgress,
        events.StepEnded,
        events.MaintenanceMark,
        events.Note,
        events.Question,
        LabStep,
    )
}


def replay(kept: Iterable[Mapping[str, Any]]) -> Iterator[Event]:
    """The events that were written down as plain data, in their order.

    Kinds and fields that this version does not know are left out: a newer one wrote them.
    Raises TypeError when one lacks a field that it cannot do without.
    """
    for data in kept:
        kind = _KINDS.get(str(data.get("kind")))
        if kind is not None:
            known = {one.name for one in fields(kind)}
            values = {name: value for name, value in data.items() if name in known}
            if "status" in values:
                values["status"] = Status(values["status"])
            yield kind(**values)
