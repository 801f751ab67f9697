from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nbops.nocobase.account import read_token, reason
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.http import Answer
from nbops.nocobase.steps.sign_in import balancer_addresses, knows_user

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
