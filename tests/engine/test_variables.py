from __future__ import annotations

import pytest

from nbops.engine.hosts import Hosts
from nbops.engine.scope import Scope
from nbops.engine.variables import PlayVariables, VariableStore, World
from nbops.runbook.expr import Layer, Templar
from nbops.runbook.model import Block, Play, Task


def store(**world: object) -> tuple[VariableStore, Hosts]:
    hosts = Hosts(["a", "b"])
    given = {
        "inventory": {"a": {"x": "inventory", "y": "{{ x }}!"}, "b": {"x": "of b"}},
        "groups": {"g": ["a", "b"]},
        "group_names": {"a": ["g"]},
    }
    return VariableStore(World(**(given | world)), hosts, Templar()), hosts  # type: ignore[arg-type]


def scope(**values: object) -> Scope:
    play = Play(path="0", hosts="all")
    block = Block(path="0.0", vars=values.get("block", {}))  # type: ignore[arg-type]
    task = Task(path="0.0.0", action="ping", vars=values.get("task", {}))  # type: ignore[arg-type]
    return Scope((play,)).enter(block).enter(task)


LEVELS = ["inventory", "fact", "play", "block", "task", "set", "extra", "loop"]


@pytest.mark.parametrize("highest", range(1, len(LEVELS) + 1))
def test_the_order_of_precedence_is_ansibles(highest: int) -> None:
    given = set(LEVELS[:highest])
    variables, hosts = store(extra={"x": "extra"} if "extra" in given else {})
    if "set" in given:
        hosts["a"].set["x"] = "set"
    play = PlayVariables([Layer("play", {"x": "play"}, template=True)] if "play" in given else [])
    inner = scope(**{name: {"x": name} for name in ("block", "task") if name in given})
    loop = [Layer("loop", {"x": "loop"}, template=False)] if "loop" in given else []
    expected = LEVELS[highest - 1]
    if expected == "fact":
        expected = "inventory"  # facts bear the prefix ansible_ and hide nothing here
    assert variables.of_task("a", inner, play, *loop)["x"] == expected


def test_variables_that_lean_on_others_see_the_winner() -> None:
    variables, hosts = store()
    hosts["a"].set["x"] = "set"
    assert variables.of_host("a")["y"] == "set!"


def test_hostvars_reach_other_hosts_and_are_never_unrolled() -> None:
    variables, hosts = store()
    hosts["b"].set["said"] = {"stdout": "{{ 1 + 1 }}"}
    hostvars = variables.of_host("a")["hostvars"]
    assert hostvars["b"]["x"] == "of b"
    assert hostvars["b"]["said"] == {"stdout": "{{ 1 + 1 }}"}
    assert list(hostvars) == ["a", "b"]
    templar = Templar()
    assert templar.render("{{ hostvars.b.x }}", variables.of_host("a")) == "of b"
    with pytest.raises(KeyError):
        hostvars["c"]


def test_facts_have_two_names() -> None:
    variables, hosts = store()
    hosts["a"].facts["os_family"] = "Debian"
    assert variables.of_host("a")["ansible_os_family"] == "Debian"
    assert variables.of_host("a")["ansible_facts"] == {"os_family": "Debian"}
