from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nbops.base.errors import Place, RefusedError
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.steps.release import match, place_of_version, wanted

Variables = Callable[..., Mapping[str, Any]]
IMAGE = {"reference": "registry:5000/nocobase/nocobase:2.2.15", "digest": "sha256:aa"}


def facts(number: int, version: str = "2.2.15") -> dict[str, Any]:
    return {"nocobase_release": {"number": number, "version": version}}


def test_nothing_deployed_matches_every_inventory(variables: Variables) -> None:
    assert match(cluster_of(variables())) is None


def test_the_newest_record_of_any_host_is_the_present_one(variables: Variables) -> None:
    known = {"node2": facts(3), "db": facts(2)}
    present = match(cluster_of(variables(facts=known)))
    assert present is not None
    assert present["number"] == 3


def test_another_version_is_refused_with_its_place_and_the_way(variables: Variables) -> None:
    cluster = cluster_of(variables(facts={"lb": facts(4, "2.2.14")}))
    with pytest.raises(RefusedError) as refused:
        match(cluster, Place("inventory.yml", 7, 16))
    (problem,) = refused.value.problems
    assert problem.place == Place("inventory.yml", 7, 16)
    assert "demo runs 2.2.14 (release 4)" in problem.message
    assert "nbops upgrade --version 2.2.15" in str(problem.hint)


def test_the_place_of_the_version_is_known_when_the_inventory_tells_it() -> None:
    told = {"nbops_places": {"version": {"file": "i.yml", "line": 3, "column": 5}}}
    assert place_of_version(told) == Place("i.yml", 3, 5)
    assert place_of_version({}) is None


def test_the_first_release_has_no_parent(variables: Variables) -> None:
    there = variables(facts={"node1": {"nocobase_image": IMAGE}})
    release = wanted(cluster_of(there), there, None)
    assert (release.number, release.parent) == (1, None)
    assert release.digest == "sha256:aa"
    assert release.who == "ann@desk"
    assert release.when == "2026-11-23T08:47:33Z"
    assert set(release.files) == {"node1", "node2", "node3"}


def test_the_same_again_is_the_same_release(variables: Variables) -> None:
    there = variables(facts={"node1": {"nocobase_image": IMAGE}})
    first = wanted(cluster_of(there), there, None)
    later = {**there, "nbops_run": "20270101T000000Z-ffffff", "nbops_operator": "bob@x"}
    assert wanted(cluster_of(later), later, first.facts()).text() == first.text()


def test_something_else_is_the_next_release(variables: Variables) -> None:
    there = variables(facts={"node1": {"nocobase_image": IMAGE}})
    first = wanted(cluster_of(there), there, None)
    other = variables(facts={"node1": {"nocobase_image": IMAGE}}, env={"LOG": "debug"})
    second = wanted(cluster_of(other), other, first.facts())
    assert (second.number, second.parent) == (2, 1)


def test_every_host_writes_the_same_text(variables: Variables) -> None:
    known = {"node1": {"nocobase_image": IMAGE}}
    texts = {
        wanted(cluster_of(there), there, None).text()
        for there in (variables(host, facts=known) for host in ("node1", "node3", "db", "lb"))
    }
    assert len(texts) == 1
