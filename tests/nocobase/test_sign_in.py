from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.http import Answer
from nbops.nocobase.plans import expected_plugins
from nbops.nocobase.steps.sign_in import (
    balancer_addresses,
    knows_user,
    missing_plugins,
    read_token,
    reason,
    silent_faults,
)

Variables = Callable[..., Mapping[str, Any]]


def data(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps({"data": value}))


def test_a_token_is_read() -> None:
    assert read_token(data({"token": "t"})) == "t"


@pytest.mark.parametrize(
    "answer", [Answer(0), Answer(200, "<html>"), data([]), data({}), data({"token": "t"}, 401)]
)
def test_no_token_is_none(answer: Answer) -> None:
    assert read_token(answer) == ""


def test_a_node_that_knows_the_user_accepts_the_token() -> None:
    assert knows_user(data({"id": 1}))


@pytest.mark.parametrize("answer", [data({}), data(None), data({"id": 1}, 401), Answer(502)])
def test_a_200_without_a_user_accepts_nothing(answer: Answer) -> None:
    assert not knows_user(answer)


def test_the_apps_own_word_is_the_reason() -> None:
    said = Answer(401, '{"errors": [{"message": "Wrong password"}]}')
    assert reason(said) == "HTTP 401, Wrong password"
    assert reason(Answer(0)) == "no answer"


def test_the_public_address_comes_first(variables: Variables) -> None:
    balancer = {"kind": "nginx", "address": "https://noco.example/", "port": 8080}
    cluster = cluster_of(variables(balancer=balancer))
    assert balancer_addresses(cluster) == ["https://noco.example", "http://198.18.0.3:8080"]


def test_without_a_public_address_the_balancer_is_the_address(variables: Variables) -> None:
    assert balancer_addresses(cluster_of(variables())) == ["http://198.18.0.3"]


def test_a_cluster_on_version_2_expects_four_plugins(variables: Variables) -> None:
    cluster = cluster_of(variables())
    assert expected_plugins(cluster, cluster.me) == (
        "lock-adapter-redis",
        "pubsub-adapter-redis",
        "queue-adapter-redis",
        "workerid-allocator-redis",
    )


def test_plugins_that_are_not_enabled_are_missing() -> None:
    listed = data(
        [
            {"name": "a", "packageName": "@x/plugin-a", "enabled": True},
            {"name": "b", "packageName": "@x/plugin-b", "enabled": False},
        ]
    )
    assert missing_plugins(listed, ("a", "@x/plugin-a", "b", "c")) == ["b", "c"]


def test_an_answer_that_is_no_list_has_no_plugins() -> None:
    assert missing_plugins(Answer(403), ("a",)) == ["a"]


def test_nodes_without_their_adapters_are_told_of_once(variables: Variables) -> None:
    cluster = cluster_of(variables())
    (warning,) = silent_faults(cluster, {"node1": ["a"], "node2": ["a", "b"], "node3": []})
    assert "a, b not loaded on node1, node2" in warning


def test_a_true_cluster_is_not_warned_of(variables: Variables) -> None:
    assert silent_faults(cluster_of(variables()), {"node1": [], "node2": []}) == ()


def test_to_have_no_cluster_plugins_is_told(variables: Variables) -> None:
    cluster = cluster_of(variables(plugins={"append": []}))
    (warning,) = silent_faults(cluster, {})
    assert "plugins.append is empty" in warning
