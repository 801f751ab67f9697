"""Where a host stands in a play: which step is next, and where a failure takes it.

The rules are those of ansible-core's play iterator, also in the corners: a host that is
failed twice in a row leaves the `rescue` that the first failure led to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, Flag, auto

from nbops.engine.program import Body, Item, Step


class Part(Enum):
    """The part of a block that a host is in."""

    BLOCK = "block"
    RESCUE = "rescue"
    ALWAYS = "always"
    DONE = "done"


class Fault(Flag):
    """The parts of a block that failed."""

    NONE = 0
    BLOCK = auto()
    RESCUE = auto()
    ALWAYS = auto()


@dataclass(slots=True)
class Frame:
    """A block that a host is in, and the block within in which it is."""

    body: Body
    part: Part = Part.BLOCK
    at: int = 0
    faults: Fault = Fault.NONE
    rescued: bool = False
    more: dict[Part, tuple[Item, ...]] = field(default_factory=dict)
    child: Frame | None = None

    def copy(self) -> Frame:
        """The same, to look ahead with."""
        child = self.child.copy() if self.child else None
        return Frame(
            self.body, self.part, self.at, self.faults, self.rescued, dict(self.more), child
        )

    def items(self, part: Part) -> tuple[Item, ...]:
        """What is to be done in a part, with what was included there."""
        if part in self.more:
            return self.more[part]
        return {
            Part.BLOCK: self.body.block,
            Part.RESCUE: self.body.rescue,
            Part.ALWAYS: self.body.always,
        }.get(part, ())

    def insert(self, items: Sequence[Item]) -> None:
        """Included steps come next."""
        if (self.faults and self.part is Part.BLOCK) or not items:
            return
        if self.child is not None:
            self.child.insert(items)
            return
        known = self.items(self.part)
        self.more[self.part] = (*known[: self.at], *items, *known[self.at :])

    @property
    def failed(self) -> bool:
        """Whether it is failed for good, as far as this block can tell."""
        if self.part in {Part.RESCUE, Part.ALWAYS} and self.child and self.child.failed:
            return True
        if self.faults:
            if self.part is Part.RESCUE and Fault.RESCUE not in self.faults:
                return False
            if self.part is Part.ALWAYS and Fault.ALWAYS not in self.faults:
                return False
            return not (self.rescued and Fault.ALWAYS not in self.faults)
        if self.part is Part.BLOCK and self.child and self.child.failed:
            return not (self.items(Part.RESCUE) and Fault.RESCUE not in self.faults)
        return False

    @property
    def rescuing(self) -> bool:
        """Whether a `rescue` would take a failure now."""
        if self.part is Part.BLOCK and self.items(Part.RESCUE):
            return True
        return self.child.rescuing if self.child else False

    def fail(self) -> None:
        """A failure: on to `rescue`, to `always`, or out."""
        if self.part is not Part.DONE and self.child is not None:
            self.child.fail()
        elif self.part is Part.BLOCK:
            self.faults |= Fault.BLOCK
            self._go(Part.RESCUE if self.items(Part.RESCUE) else self._last())
        elif self.part is Part.RESCUE:
            self.faults |= Fault.RESCUE
            self._go(self._last())
        elif self.part is Part.ALWAYS:
            self.faults |= Fault.ALWAYS
            self._go(Part.DONE)

    def clear(self) -> None:
        """Forget all failures; where the host stands stays."""
        self.faults = Fault.NONE
        if self.child is not None:
            self.child.clear()

    def next(self) -> Step | None:
        """Go on to the next step; None when there is none."""
        while self.part is not Part.DONE:
            if self.child is not None:
                step = self.child.next()
                if self.child.failed:
                    self.child = None
                    self.fail()
                elif step is None:
                    self.child = None
                if step is not None:
                    return step
                continue
            step = self._own()
            if step is not None:
                return step
        return None

    def _own(self) -> Step | None:
        items = self.items(self.part)
        if self._moves_on(len(items)):
            return None
        item = items[self.at]
        self.at += 1
        if isinstance(item, Step):
            return item
        self.child = Frame(item)
        return None

    def _moves_on(self, count: int) -> bool:
        """Whether this part is over: then the next one has begun."""
        if self.part is Part.BLOCK and self.failed:
            self._go(Part.RESCUE)
        elif self.part is Part.RESCUE and Fault.RESCUE in self.faults:
            self._go(Part.ALWAYS)
        elif self.at < count:
            return False
        elif self.part is Part.BLOCK:
            self._go(Part.ALWAYS)
        elif self.part is Part.RESCUE:
            if count:
                self.faults = Fault.NONE
            self.rescued = True
            self._go(Part.ALWAYS)
        else:
            self.rescued = self.rescued and bool(self.faults)
            self._go(Part.DONE)
        return True

    def _last(self) -> Part:
        return Part.ALWAYS if self.items(Part.ALWAYS) else Part.DONE

    def _go(self, part: Part) -> None:
        self.part, self.at = part, 0


@dataclass(slots=True)
class Cursor:
    """A host in a play. `facts` is a step before all others; `handlers` are those that the
    host goes through while it flushes."""

    root: Frame
    facts: Step | None = None
    gathering: bool = False
    handlers: tuple[Step, ...] | None = None
    handler_at: int = 0

    def copy(self) -> Cursor:
        """The same, to look ahead with."""
        return Cursor(self.root.copy(), self.facts, self.gathering, self.handlers, self.handler_at)

    def next(self, called: frozenset[Step], *, due: bool) -> Step | None:
        """Go on to the next step; None when the host is done with the play.

        `called` are the handlers that the host has notified; `due` tells whether there are
        such, or will be when it flushes.
        """
        self.gathering = self.facts is not None
        if self.facts is not None:
            step, self.facts = self.facts, None
            return step
        while True:
            if self.handlers is not None:
                handler = self._next_handler(called)
                if handler is not None:
                    return handler
            found = self.root.next()
            if found is None or not found.implicit or due:
                return found

    def _next_handler(self, called: frozenset[Step]) -> Step | None:
        handlers = self.handlers or ()
        while self.handler_at < len(handlers):
            self.handler_at += 1
            if handlers[self.handler_at - 1] in called:
                return handlers[self.handler_at - 1]
        self.handlers, self.handler_at = None, 0
        return None

    def flush(self, handlers: Sequence[Step]) -> None:
        """Handlers come next."""
        self.handlers, self.handler_at = tuple(handlers), 0

    def insert(self, items: Sequence[Item], handlers: Sequence[Step]) -> None:
        """Included steps come next: among the handlers when the host is there."""
        if self.handlers is None:
            self.root.insert(items)
        else:
            at = self.handler_at
            self.handlers = (*self.handlers[:at], *handlers, *self.handlers[at:])

    def fail(self) -> None:
        """A failure of the host, its own or one that counts for all."""
        self.handlers, self.handler_at = None, 0
        if self.facts is not None or self.gathering:
            self.facts = None
            self.root.faults |= Fault.BLOCK
            self.root.part = Part.DONE
        else:
            self.root.fail()

    def fail_towards(self, body: Body) -> None:
        """A failure that only the `rescue` of this block takes."""
        frame: Frame | None = self.root
        while frame is not None and frame.body is not body:
            frame = frame.child
        if frame is not None:
            frame.child = None
            self.fail()

    def end(self) -> None:
        """The host is done with the play; rescued, when it was about to be."""
        top, active = self.root.child, self.root
        while active.child is not None:
            active = active.child
        if self.handlers is None and top is not None and active.part is not Part.RESCUE:
            self.root.faults |= top.faults
            self.root.rescued = top.rescued
        self.handlers, self.facts = None, None
        self.root.part = Part.DONE

    @property
    def failed(self) -> bool:
        """Whether the host failed and nothing rescues it."""
        return bool(self.root.faults) if self.handlers is not None else self.root.failed

    @property
    def rescuing(self) -> bool:
        """Whether a `rescue` would take a failure now."""
        top = self.root.child
        if self.handlers is not None and top is not None and top.items(Part.RESCUE):
            return True
        return self.root.rescuing

    @property
    def within(self) -> list[Frame]:
        """The blocks that the host is in, the outermost first."""
        found, frame = [], self.root.child
        while frame is not None:
            found.append(frame)
            frame = frame.child
        return found
