"""Which apps of a node a start is about; the start itself is tested on machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.plans import here
from nbops.nocobase.steps.start import STARTED, is_started, started

Variables = Callable[..., Mapping[str, Any]]
THREE = {"kind": "compose", "dir": "/opt/nocobase", "port": 13000, "instances": 3}


def ports(variables: Mapping[str, Any]) -> list[int]:
    return [app.port for app, _ in started(here(variables))]


def test_every_app_is_waited_for_when_nothing_was_started_in_this_run(
    variables: Variables,
) -> None:
    assert ports(variables(runtime=THREE)) == [13000, 13001, 13002]


def test_after_a_first_start_only_the_app_that_was_started_is_waited_for(
    variables: Variables,
) -> None:
    facts = {"node1": {STARTED: [1]}}
    assert ports(variables(facts=facts, runtime=THREE)) == [13000]


def test_what_another_node_started_says_nothing_of_this_one(variables: Variables) -> None:
    facts = {"node2": {STARTED: [1]}}
    assert ports(variables(facts=facts, runtime=THREE)) == [13000, 13001, 13002]


def test_of_a_node_that_migrates_alone_the_other_apps_are_not_asked_yet(
    variables: Variables,
) -> None:
    cluster = cluster_of(variables(facts={"node1": {STARTED: [1]}}, runtime=THREE))
    asked = [app.port for app in cluster.endpoints if is_started(cluster, app)]
    assert asked == [13000, *([13000, 13001, 13002] * 2)]
