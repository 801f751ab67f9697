"""The actions that a run knows, by name: a catalog made from a list that is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from nbops.actions.api import Action
from nbops.runbook.spec import ActionSpec

_PREFIXES = ("ansible.builtin.", "ansible.legacy.")


class Registry:
    """Actions by name; a `Catalog` for the language.

    Raises ValueError when two actions bear one name.
    """

    def __init__(self, actions: Iterable[Action[Any]]) -> None:
        self._actions: dict[str, Action[Any]] = {}
        for action in actions:
            name = action.spec.name
            if name in self._actions:
                raise ValueError(f"two actions are called `{name}`")
            self._actions[name] = action

    def get(self, name: str) -> ActionSpec | None:
        """The action's description, with or without the `ansible.builtin.` prefix; else None."""
        action = self._actions.get(_short(name))
        return action.spec if action else None

    def action(self, name: str) -> Action[Any]:
        """The action itself. Raises KeyError when there is none of that name."""
        return self._actions[_short(name)]

    def __contains__(self, name: str) -> bool:
        return _short(name) in self._actions

    def __iter__(self) -> Iterator[ActionSpec]:
        return (action.spec for action in self._actions.values())

    def __len__(self) -> int:
        return len(self._actions)


def _short(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name
