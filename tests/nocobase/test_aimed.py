"""A recorded release is brought about where it answers, whatever the inventory says by now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from nbops.nocobase.balancers.plan import short_plan
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.environment import read_env_file, render_env_file
from nbops.nocobase.plans import absent_from, aimed_at, here
from nbops.nocobase.releases import Release
from nbops.nocobase.steps.release import coming

Variables = Callable[..., Mapping[str, Any]]
RECORDED = {"kind": "compose", "dir": "/opt/nocobase", "port": 13000}


def release(variables: Variables, **runtime: Any) -> Release:
    there = variables(runtime=RECORDED | runtime)
    return coming(cluster_of(there), there, "")


def aimed(variables: Variables, record: Release, **runtime: Any) -> Mapping[str, Any]:
    """The variables of a node, with the record at hand and the inventory edited since."""
    told = {"nocobase_records": {f"{record.number:06d}": Secret(record.text())}}
    there = variables(facts={"lb": told}, runtime=RECORDED | runtime)
    return {**there, "nocobase_aim": record.number}


def seen(variables: Mapping[str, Any]) -> Cluster:
    return aimed_at(cluster_of(variables))


def test_an_app_is_asked_on_the_port_that_it_was_recorded_with(variables: Variables) -> None:
    there = aimed(variables, release(variables), port=14000)
    assert [(app.port, plan.port) for app, plan in here(there).apps()] == [(13000, 13000)]
    assert {end.port for end in seen(there).apps} == {13000}


@pytest.mark.parametrize(("then", "now"), [(1, 2), (2, 1)])
def test_a_node_has_the_apps_that_it_was_recorded_with(
    variables: Variables, then: int, now: int
) -> None:
    there = aimed(variables, release(variables, instances=then), instances=now)
    apps = here(there).apps()
    assert [app.instance for app, _ in apps] == [plan.instance for _, plan in apps]
    assert len(apps) == then
    assert len(seen(there).endpoints) == 3 * then


def test_requests_go_where_the_release_answers(variables: Variables) -> None:
    there = aimed(variables, release(variables), port=14000)
    places = [node.place for node in short_plan(seen(there)).nodes]
    assert places == ["198.18.0.11:13000", "198.18.0.12:13000", "198.18.0.13:13000"]


def test_a_node_is_for_what_it_was_recorded_for(variables: Variables) -> None:
    there = aimed(variables, release(variables, worker_mode="-", cluster_mode=4))
    assert (seen(there).me.serves, seen(there).me.mute) == (False, True)
    assert seen(there).me.part("runtime")["cluster_mode"] == "4"


def test_a_node_that_the_release_did_not_have_is_as_in_the_inventory(variables: Variables) -> None:
    whole = release(variables)
    record = replace(whole, nodes={host: whole.nodes[host] for host in ("node1", "node2")})
    there = aimed(variables, record, port=14000)
    assert [end.port for end in seen(there).endpoints] == [13000, 13000, 14000]
    assert absent_from(seen(there)) == {"node3"}, "no balancer sends it requests"
    assert absent_from(seen({**there, "nocobase_aim": None})) == frozenset()


def test_without_an_aim_the_inventory_is_what_is_wanted(variables: Variables) -> None:
    there = {**aimed(variables, release(variables), port=14000), "nocobase_aim": None}
    assert [app.port for app, _ in here(there).apps()] == [14000]


def test_an_aim_of_which_no_host_has_the_record_is_told(variables: Variables) -> None:
    with pytest.raises(ActionFailed, match="the record of release 7 is on no host"):
        seen({**variables(), "nocobase_aim": 7})


@pytest.mark.parametrize(
    "value", ["!", "*", "", 'a"b', "c:\\new", "$HOME", "two words", "a\x0cb\x85c\u2028d"]
)
def test_an_environment_file_is_read_back_as_it_was_written(value: str) -> None:
    env = {"WORKER_MODE": value, "APP_PORT": "13000"}
    assert read_env_file(render_env_file(env).reveal()) == env
