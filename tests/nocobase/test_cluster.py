"""The cluster as actions see it: its apps, which of them serve, and which is the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nbops.base.errors import RefusedError
from nbops.nocobase.cluster import Cluster, cluster_of, serves
from nbops.nocobase.plans import here

Variables = Callable[..., Mapping[str, Any]]


def cluster(variables: Variables, **runtimes: Mapping[str, Any]) -> Cluster:
    """A cluster in which some hosts have a runtime of their own."""
    made = dict(variables())
    hostvars = {host: dict(own) for host, own in made["hostvars"].items()}
    for host, runtime in runtimes.items():
        settings = hostvars[host]["nocobase"]
        hostvars[host]["nocobase"] = settings | {"runtime": settings["runtime"] | runtime}
    return cluster_of(made | {"hostvars": hostvars})


@pytest.mark.parametrize("mode", [None, "", "!", "!,workflow:process", "a,!", " ! "])
def test_a_node_of_this_mode_serves_requests(mode: str | None) -> None:
    assert serves(mode)


@pytest.mark.parametrize("mode", ["*", "-", "workflow:process", "a,b", "!a", "a, !"])
def test_a_node_of_this_mode_does_not(mode: str) -> None:
    assert not serves(mode)


def test_every_app_of_a_serving_host_is_behind_the_balancer(variables: Variables) -> None:
    seen = cluster(variables, node1={"instances": 2}, node2={"worker_mode": "*"})
    assert [app.place for app in seen.endpoints] == [
        "198.18.0.11:13000",
        "198.18.0.11:13001",
        "198.18.0.13:13000",
    ]
    assert [app.name for app in seen.apps] == ["node1", "node1:13001", "node2", "node3"]


def test_the_address_that_balancers_use_can_be_another_one(variables: Variables) -> None:
    seen = cluster(variables, node1={"address": "fd00::1"})
    assert seen.endpoints[0].there == "http://[fd00::1]:13000"


def test_the_first_app_is_one_for_requests(variables: Variables) -> None:
    assert cluster(variables, node1={"worker_mode": "*"}).first.host == "node2"


def test_a_cluster_without_such_an_app_has_no_first(variables: Variables) -> None:
    workers = {host: {"worker_mode": "*"} for host in ("node1", "node2", "node3")}
    with pytest.raises(RefusedError, match="no node is for requests"):
        _ = cluster(variables, **workers).first


def test_only_a_mute_node_keeps_its_state_to_itself(variables: Variables) -> None:
    seen = cluster(variables, node1={"worker_mode": "-"}, node2={"worker_mode": "*"})
    assert [node.mute for node in seen.nodes] == [True, False, False]


def test_apps_of_one_host_have_ports_folders_and_names_of_their_own(variables: Variables) -> None:
    runtime = {"kind": "compose", "dir": "/opt/nocobase", "port": 13000, "instances": 3}
    plans = here(variables(runtime=runtime)).plans
    assert [plan.port for plan in plans] == [13000, 13001, 13002]
    assert [plan.folder for plan in plans] == [
        "/opt/nocobase",
        "/opt/nocobase/2",
        "/opt/nocobase/3",
    ]
    assert [plan.name for plan in plans] == [
        "nocobase-demo",
        "nocobase-demo.2",
        "nocobase-demo.3",
    ]
    assert {plan.storage for plan in plans} == {"/srv/storage"}
