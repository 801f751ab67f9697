"""Which backups stay, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.steps.backup_files import needed

Variables = Callable[..., Mapping[str, Any]]


def release(number: int, backup: str = "") -> dict[str, Any]:
    return {"number": number, "parent": number - 1 or None, "backup": backup}


def kept(variables: Variables, **facts: Any) -> set[str]:
    return needed(cluster_of(variables(facts={"node2": facts})))


def test_that_of_the_present_release_stays(variables: Variables) -> None:
    assert kept(variables, nocobase_release=release(2, "b2")) == {"b2"}
    assert kept(variables) == set()


def test_that_of_an_upgrade_stays_when_a_deploy_came_after_it(variables: Variables) -> None:
    every = [release(1), release(2, "b2"), release(3, "b3"), release(4), release(5)]
    assert kept(variables, nocobase_release=every[-1], nocobase_releases=every) == {"b3"}


def test_that_of_an_upgrade_that_is_half_way_stays(variables: Variables) -> None:
    every = [release(1), release(2, "b2")]
    coming = release(3, "b3") | {"phase": "upgrade"}
    told = {"nocobase_releases": every, "nocobase_pending": coming}
    assert kept(variables, nocobase_release=every[-1], **told) == {"b2", "b3"}


def test_a_line_that_is_broken_off_needs_none(variables: Variables) -> None:
    assert kept(variables, nocobase_release=release(5), nocobase_releases=[release(5)]) == set()
