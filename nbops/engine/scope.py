"""What a task inherits from the play and the blocks around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nbops.base.errors import Place
from nbops.base.events import Status
from nbops.runbook.expr import Layer
from nbops.runbook.model import Block, Common, Play, Task


@dataclass(frozen=True)
class Scope:
    """The play and blocks around a task, the outermost first.

    `given` are variables that come with an include (its own `vars`, its loop's item): they
    win over all but extra variables. `guards` are the failures here that a `rescue` further out
    would take.
    """

    around: tuple[Common, ...]
    given: tuple[Layer, ...] = ()
    handler: bool = False
    guards: frozenset[Status] = frozenset()

    def enter(self, inner: Common) -> Scope:
        """The scope within `inner`."""
        return replace(self, around=(*self.around, inner))

    def give(self, layers: Sequence[Layer]) -> Scope:
        """The same with the variables of an include."""
        return replace(self, given=(*self.given, *(one for one in layers if one.values)))

    def within_include(self, file: str, variables: Mapping[str, Any]) -> Scope:
        """That of the tasks which the innermost task includes from a file with these variables: of
        the task itself only its variables come along."""
        task = self.around[-1]
        layers = (
            Layer(f"vars of include {task.name or ''}", task.vars, template=True),
            Layer(f"include of {file}", variables, template=False),
        )
        return replace(self, around=self.around[:-1]).give(layers)

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
        """The variables of blocks and the task, those of the play and of includes left out."""
        return [
            Layer(f"vars of {_called(one)}", one.vars, template=True)
            for one in self.around[1:]
            if one.vars
        ]


def _called(one: Common) -> str:
    kind = type(one).__name__.lower()
    return f"{kind} `{one.name}`" if one.name else kind


def selected(tags: frozenset[str], wanted: tuple[str, ...], skipped: tuple[str, ...]) -> bool:
    """Whether a task with these tags runs under `--tags` and `--skip-tags`, as in Ansible.

    `always` runs unless it is skipped by name, `never` only when one of its tags is wanted;
    `all`, `tagged` and `untagged` are understood.
    """
    own = tags or frozenset({"untagged"})
    chosen, left_out = set(wanted) or {"all"}, set(skipped)
    tagged = bool(tags) and "never" not in tags
    runs = (
        "always" in own
        or ("all" in chosen and "never" not in own)
        or bool(own & chosen)
        or ("tagged" in chosen and tagged)
    )
    if "all" in left_out:
        return runs and "always" in own and "always" not in left_out
    return runs and not own & left_out and not ("tagged" in left_out and bool(tags))


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
