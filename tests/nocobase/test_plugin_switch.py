from __future__ import annotations

from typing import Any

import pytest

from nbops.base.errors import RefusedError
from nbops.nocobase.plugin_switch import not_yet, row_of, switch_path, to_switch

ROWS: list[dict[str, Any]] = [
    {"name": "users", "packageName": "@nocobase/plugin-users", "enabled": True, "builtIn": True},
    {"name": "map", "packageName": "@nocobase/plugin-map", "enabled": False},
    {"name": "chart", "packageName": "@nocobase/plugin-chart", "enabled": True},
    {"name": "@my/plugin-x", "packageName": "@my/plugin-x", "enabled": True},
]


@pytest.mark.parametrize("name", ["map", "@nocobase/plugin-map"])
def test_a_plugin_is_known_by_its_name_and_by_its_package(name: str) -> None:
    assert row_of(ROWS, name) is ROWS[1]


def test_only_what_is_not_so_yet_is_switched_by_the_name_of_its_package() -> None:
    assert to_switch(ROWS, ["map", "chart"], (), enable=True) == ["@nocobase/plugin-map"]
    assert to_switch(ROWS, ["map", "chart"], (), enable=False) == ["@nocobase/plugin-chart"]
    assert to_switch(ROWS, ["chart"], (), enable=True) == []


def test_what_cannot_be_done_is_refused_all_at_once() -> None:
    with pytest.raises(RefusedError) as refused:
        to_switch(ROWS, ["users", "mapp", "@my/plugin-x", "chart"], ["@my/plugin-x"], enable=False)
    told = [problem.message for problem in refused.value.problems]
    assert told == [
        "users is a part of the app itself, and cannot be disabled",
        "no node has a plugin `mapp`: did you mean `map`?",
        "@my/plugin-x is in `plugins.append`: the app would enable it again at every start",
    ]
    assert all(problem.hint for problem in refused.value.problems)


def test_what_a_node_does_not_have_as_wanted_is_named() -> None:
    assert not_yet(ROWS, ["map", "chart", "gone"], enable=True) == ["map", "gone"]
    assert not_yet(ROWS, ["map", "chart", "gone"], enable=False) == ["chart"]


def test_names_are_put_into_the_address_as_data() -> None:
    path = switch_path(["a&b=c", "d"], enable=True)
    assert path == "/api/pm:enable?awaitResponse=true&filterByTk=a%26b%3Dc%2Cd"
    assert switch_path(["a"], enable=False).startswith("/api/pm:disable?")
