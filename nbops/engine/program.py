"""A play's tasks as a tree of steps, each with all that it inherits; made before it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

from nbops.base.events import Status
from nbops.engine.scope import Scope
from nbops.runbook.model import Block, Node, Play, Task


@dataclass(frozen=True, eq=False)
class Step:
    """A task where it stands; an `implicit` one runs only when handlers are due."""

    task: Task
    scope: Scope
    implicit: bool = False


@dataclass(frozen=True, eq=False)
class Body:
    """Steps with what rescues them and what always follows; `node` is the written block."""

    block: tuple[Item, ...] = ()
    rescue: tuple[Item, ...] = ()
    always: tuple[Item, ...] = ()
    node: Block | None = None
    scope: Scope | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return not (self.block or self.rescue or self.always)


Item = Union[Step, Body]  # noqa: UP007 (the alias refers to itself)
Chosen = Callable[[Scope], bool]


def build(nodes: Sequence[Node], scope: Scope, chosen: Chosen) -> tuple[Item, ...]:
    """The steps of some nodes within a scope; those that are not chosen are left out."""
    found: list[Item] = []
    for node in nodes:
        inner = scope.enter(node)
        if isinstance(node, Task):
            if chosen(inner):
                found.append(Step(node, inner))
            continue
        guarded = replace(inner, guards=inner.guards | _rescued_by(node))
        body = Body(
            block=build(node.block, guarded, chosen),
            rescue=build(node.rescue, inner, chosen),
            always=build(node.always, inner, chosen),
            node=node,
            scope=inner,
        )
        if not body.empty:
            found.append(body)
    return tuple(found)


def _rescued_by(block: Block) -> frozenset[Status]:
    """The failures that the block's own `rescue` takes."""
    if not block.rescue:
        return frozenset()
    unreachable = {Status.UNREACHABLE} if block.rescue_unreachable else set()
    return frozenset({Status.FAILED, *unreachable})


def steps_of(items: Sequence[Item]) -> Iterator[Step]:
    """All steps in the order in which the hosts come to them."""
    for item in items:
        if isinstance(item, Step):
            yield item
        else:
            yield from steps_of((*item.block, *item.rescue, *item.always))


def program_of(play: Play, chosen: Chosen, *, force_handlers: bool) -> tuple[Item, ...]:
    """A play's sections, each followed by its handlers; with `force_handlers` these run on
    hosts that failed as well."""
    scope = Scope((play,))
    found: list[Item] = []
    for number, section in enumerate((play.pre_tasks, play.tasks, play.post_tasks)):
        flush = Task(
            path=f"{play.path}.flush{number}",
            action="meta",
            args={"what": "flush_handlers"},
            folder=Path(play.folder),
            place=play.place,
        )
        end = Step(flush, scope.enter(flush), implicit=True)
        items = build(section, scope, chosen)
        found += [Body(items, always=(end,))] if force_handlers else [*items, end]
    return tuple(found)
