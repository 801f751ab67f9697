"""What a task inherits from the play and the blocks around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nbops.base.errors import Place
from nbops.runbook.expr import Layer
from nbops.runbook.model import Block, Common, Play, Task


@dataclass(frozen=True)
class Scope:
    """The play and blocks around a task, the outermost first.

    `extra` are variables that come with an include (its own `vars`, its loop's item), each
    with the number of those around that it wins over. `guarded` tells whether a `rescue`
    further out would take a failure here.
    """

    around: tuple[Common, ...]
    extra: tuple[tuple[int, Layer], ...] = ()
    handler: bool = False
    guarded: bool = False

    def enter(self, inner: Common) -> Scope:
        """The scope within `inner`."""
        return replace(self, around=(*self.around, inner))

    def bring(self, layers: Sequence[Layer]) -> Scope:
        """The same with further variables, which win over those of all around."""
        more = tuple((len(self.around), layer) for layer in layers if layer.values)
        return replace(self, extra=(*self.extra, *more))

    @property
    def play(self) -> Play:
        """The play that all this is in."""
        play = self.around[0]
        if not isinstance(play, Play):
            raise TypeError("the outermost scope is the play")
        return play

    def pick(self, keyword: str) -> Any:
        """The value of an inherited keyword: the innermost that is written; else None."""
        for one in reversed(self.around):
            value = getattr(one, keyword, None)
            if value is not None:
                return value
        return None

    def place(self, keyword: str) -> Place | None:
        """Where the innermost value of a keyword stands; the task's place when nowhere."""
        for one in reversed(self.around):
            if keyword in one.places:
                return one.places[keyword]
        return self.around[-1].place

    @property
    def conditions(self) -> tuple[tuple[Any, Place | None], ...]:
        """All conditions that must hold and where they stand, those of the blocks first."""
        return tuple(
            (condition, one.places.get("when", one.place))
            for one in self.around
            if isinstance(one, Block | Task)
            for condition in one.when
        )

    @property
    def environments(self) -> tuple[Any, ...]:
        """All `environment:` values as written, the later ones win."""
        return tuple(value for one in self.around for value in one.environment)

    @property
    def notify(self) -> tuple[Any, ...]:
        """All handlers named by the task and the blocks around it."""
        return tuple(
            name for one in self.around if isinstance(one, Block | Task) for name in one.notify
        )

    @property
    def tags(self) -> frozenset[str]:
        """The tags of the task and of all around it."""
        return frozenset(tag for one in self.around for tag in one.tags)

    def inner_layers(self) -> list[Layer]:
        """The variables of blocks, includes and the task, the play's left out."""
        found: list[Layer] = []
        for depth, one in enumerate(self.around):
            if depth and one.vars:
                found.append(Layer(f"vars of {_called(one)}", one.vars, template=True))
            found += [layer for wins, layer in self.extra if wins == depth + 1]
        return found


def _called(one: Common) -> str:
    kind = type(one).__name__.lower()
    return f"{kind} `{one.name}`" if one.name else kind


def selected(tags: frozenset[str], wanted: tuple[str, ...], skipped: tuple[str, ...]) -> bool:
    """Whether a task with these tags runs under `--tags` and `--skip-tags`, as in Ansible.

    `always` runs unless it is skipped by name, `never` only when one of its tags is wanted;
    `all`, `tagged` and `untagged` are understood.
    """
    chosen = _chosen(tags, wanted) if wanted else "never" not in tags
    return chosen and not (skipped and _skipped(tags, wanted, skipped))


def _chosen(tags: frozenset[str], wanted: tuple[str, ...]) -> bool:
    named = bool(tags & set(wanted))
    if "never" in tags and not named:
        return False
    return (
        named
        or "always" in tags
        or "all" in wanted
        or ("tagged" in wanted and bool(tags - {"never"}))
        or ("untagged" in wanted and not tags)
    )


def _skipped(tags: frozenset[str], wanted: tuple[str, ...], skipped: tuple[str, ...]) -> bool:
    if tags & set(skipped):
        return True
    if "all" in skipped and not ("always" in tags and "always" not in skipped):
        return True
    if "tagged" in skipped and tags:
        return not ("always" in tags and "always" not in skipped and not wanted)
    return "untagged" in skipped and not tags


def flag(value: Any) -> bool:
    """An evaluated keyword as true or false, with the words that YAML 1.1 and Ansible take."""
    if isinstance(value, str):
        return value.strip().lower() in {"yes", "true", "on", "1", "y", "t"}
    return bool(value)


def as_mapping(value: Any) -> Mapping[str, Any]:
    """An evaluated value that must be a mapping. Raises TypeError when it is not."""
    if not isinstance(value, Mapping):
        raise TypeError(f"a mapping is needed here, not {type(value).__name__}")
    return value
