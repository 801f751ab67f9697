"""Nodes that are taken out of the group `app`, or put into it, without a deploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbops.actions.api import Result
from nbops.base.errors import RefusedError
from nbops.base.secret import Secret
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.releases import Release
from nbops.nocobase.steps.release import back, coming, newer, nodes

Variables = Callable[..., Mapping[str, Any]]
OLD, NEW = "2.2.15", "2.2.16"


def release(variables: Variables, *hosts: str) -> Release:
    """Release 1, with a node on each of these hosts."""
    there = variables()
    record = coming(cluster_of(there), there, "")
    return replace(record, nodes=dict.fromkeys(hosts, record.nodes["node1"]))


def told(
    variables: Variables, record: Release, way: Release | None = None, me: str = "node1"
) -> Cluster:
    """A cluster whose balancer has told of its records; its nodes are node1, node2 and node3.
    The new version is wanted."""
    texts = {"000001": Secret(record.text())} | ({"pending": Secret(way.text())} if way else {})
    facts = {
        "nocobase_release": record.facts(),
        "nocobase_releases": [record.facts()],
        "nocobase_records": texts,
        "nocobase_pending": way.facts() if way else None,
    }
    return cluster_of(variables(me, facts={"lb": facts}, version=NEW))


def rolled_back(cluster: Cluster) -> Result:
    return back(cluster, None)


def way_from(record: Release, *hosts: str) -> Release:
    """An upgrade of a release that is half-way, with nodes on these hosts."""
    every = dict.fromkeys(hosts, record.nodes["node1"])
    return replace(
        record, number=2, parent=1, version=NEW, phase="upgrade", backup="b", nodes=every
    )


@pytest.mark.parametrize("step", [newer, nodes, rolled_back])
def test_a_node_outside_the_group_would_go_on_with_the_old_version(
    variables: Variables, step: Callable[[Cluster], Result]
) -> None:
    cluster = told(variables, release(variables, "node1", "node2", "node3", "db"))
    with pytest.raises(RefusedError, match="db: a node of demo that is in the group") as refused:
        step(cluster)
    assert "`nbops deploy` stops it" in str(refused.value.problems[0].hint)


@pytest.mark.parametrize("step", [newer, nodes])
def test_a_node_out_of_reach_is_named_once_with_the_line_that_stops_it(
    variables: Variables, step: Callable[[Cluster], Result]
) -> None:
    record = release(variables, "node1", "node2", "node3", "node9")
    (warning,) = step(told(variables, record)).warnings
    assert "`ssh node9 'docker update --restart no nocobase-demo && docker stop" in warning
    assert step(told(variables, record, me="lb")).warnings == ()


def test_while_an_upgrade_is_half_way_no_deploy_stops_a_node(variables: Variables) -> None:
    record = release(variables, "node1", "node2", "node3", "db")
    way = way_from(record, "node1", "node2", "node3")
    with pytest.raises(RefusedError) as refused:
        rolled_back(told(variables, record, way))
    assert refused.value.problems[0].hint == "put it back into the group `app`"


def test_a_node_that_came_with_an_upgrade_may_run_the_new_version(variables: Variables) -> None:
    record = release(variables, "node1", "node2", "node3")
    with pytest.raises(RefusedError, match="db: a node of demo"):
        rolled_back(told(variables, record, way_from(record, "node1", "node2", "node3", "db")))
    (warning,) = rolled_back(told(variables, record, way_from(record, "node1", "node9"))).warnings
    assert "node9 is in the inventory no more" in warning


def test_a_way_back_that_was_cut_short_started_no_node_outside_the_group(
    variables: Variables,
) -> None:
    target = release(variables, "node1", "node2", "node3", "db")
    last = replace(release(variables, "node1", "node2", "node3"), number=2, parent=1, version=NEW)
    way = replace(target, number=3, parent=1, phase="upgrade", backup="b")
    facts = {
        "nocobase_release": last.facts(),
        "nocobase_releases": [target.facts(), last.facts()],
        "nocobase_pending": way.facts(),
    }
    result = rolled_back(cluster_of(variables(facts={"lb": facts})))
    assert result.values["to"]["number"] == 1
    assert result.warnings == ()


def test_a_node_that_is_not_deployed_is_named_before_the_window(variables: Variables) -> None:
    with pytest.raises(RefusedError, match="node3: in the group `app`, and no node of release 1"):
        nodes(told(variables, release(variables, "node1", "node2")))
    result = newer(told(variables, release(variables, "node1", "node2")))
    assert not result.failed, "an upgrade starts it"


def test_what_came_with_a_run_that_was_left_half_way_is_gone_back_from(
    variables: Variables,
) -> None:
    record = release(variables, "node1", "node2")
    way = way_from(record, "node1", "node2", "node3")
    with pytest.raises(RefusedError) as refused:
        nodes(told(variables, record, way))
    assert str(refused.value.problems[0].hint).startswith("`nbops rollback` goes back")


def test_the_record_of_any_host_counts(variables: Variables) -> None:
    record = release(variables, "node1", "node2", "node3")
    result = nodes(told(variables, record))
    assert result.facts == {"nocobase_release": record.facts()}
    with pytest.raises(RefusedError, match="demo is not deployed yet"):
        nodes(cluster_of(variables()))


@pytest.mark.parametrize("name", ["restore", "plugin-switch"])
def test_the_nodes_are_held_against_the_group_before_anything_else(name: str) -> None:
    path = Path(__file__).parents[2] / "runbooks" / f"{name}.yml"
    first = yaml.safe_load(path.read_text())[0]["tasks"]
    said = [task.get("nocobase_release") for task in first]
    assert said.index("open") < said.index("nodes") < len(said)
