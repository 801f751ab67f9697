"""What the lab says while it works, beside the events that all parts share."""

from __future__ import annotations

from dataclasses import dataclass

from nbops.base.events import Event


@dataclass(frozen=True, kw_only=True)
class LabStep(Event):
    """A piece of a lab (`base`, `images`, `network`, or a machine's name) is so far.

    `seconds` is what the step took, 0 while it goes on.
    """

    kind = "lab_step"
    name: str
    message: str
    seconds: float = 0.0
