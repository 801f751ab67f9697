"""Keys are compared, never told; a cluster keeps its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nbops.base.errors import RefusedError
from nbops.base.secret import Secret
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.keys import (
    RELEASE_KEYS,
    key_marks,
    match_keys,
    other_keys,
    release_marks,
    salt_of,
    wanted_marks,
)
from nbops.nocobase.releases import Release
from tests.nocobase.conftest import settings

Variables = Callable[..., Mapping[str, Any]]


def release(text: str) -> Release:
    files = {"node1": {"node.env": text}}
    return Release(1, None, "2.2.15", {}, "f", "w", "w", "r", files=files)


PRESENT = {"number": 1, "version": "2.2.15"}


def facts(text: str, variables: Variables) -> dict[str, dict[str, Any]]:
    marks = release_marks(release(text), cluster_of(variables()).settings)
    return {"lb": {"nocobase_release": PRESENT, RELEASE_KEYS: marks}}


SAME = f"APP_ENV=production\nAPP_KEY=app-key-of-demo\nAPP_AES_SECRET_KEY={'ab' * 32}\n"


def test_the_keys_of_the_release_are_taken(variables: Variables) -> None:
    match_keys(cluster_of(variables(facts=facts(SAME, variables))), PRESENT)


def test_nothing_deployed_takes_any_key(variables: Variables) -> None:
    match_keys(cluster_of(variables()), None)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (SAME.replace("app-key-of-demo", "another"), "another APP_KEY than `secrets.app_key`"),
        (SAME.replace("ab", "cd"), "another APP_AES_SECRET_KEY than `secrets.aes_key`"),
    ],
)
def test_other_keys_than_those_of_the_release_are_refused(
    text: str, name: str, variables: Variables
) -> None:
    with pytest.raises(RefusedError, match=name) as caught:
        match_keys(cluster_of(variables(facts=facts(text, variables))), PRESENT)
    (problem,) = caught.value.problems
    assert "/var/lib/nbops/demo/releases/000001.json on lb" in str(problem.hint)
    assert "another" not in str(problem.hint)


def test_marks_tell_no_value_and_differ_from_cluster_to_cluster() -> None:
    one = wanted_marks(settings())
    other = wanted_marks(settings(secrets={"app_key": Secret("x"), "aes_key": Secret("ab" * 32)}))
    assert "app-key-of-demo" not in str(one)
    assert one["APP_AES_SECRET_KEY"] != other["APP_AES_SECRET_KEY"]


def test_a_key_with_quotes_and_dollars_is_the_same_as_in_the_file() -> None:
    key = Secret("a\"$b\\'c d")
    keys = {"app_key": key, "aes_key": Secret("ab" * 32)}
    from nbops.nocobase.environment import render_env_file

    lines = render_env_file({"APP_KEY": key}).reveal().splitlines()
    assert other_keys(key_marks(lines, salt_of(key)), wanted_marks({"secrets": keys})) == []


def test_keys_that_are_not_known_are_no_other_ones() -> None:
    assert other_keys({}, wanted_marks(settings())) == []
