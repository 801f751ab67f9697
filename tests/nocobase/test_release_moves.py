"""Releases whose database is another one than when they were made, or whose plugins changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from nbops.base.errors import RefusedError
from nbops.base.secret import Secret
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.databases.copies import beside, is_restored
from nbops.nocobase.databases.here import in_use
from nbops.nocobase.plans import plans_in, recorded
from nbops.nocobase.releases import Release, way_back
from nbops.nocobase.steps.release import SWITCHED, coming, facts_of, match_database, moved_release

Variables = Callable[..., Mapping[str, Any]]
RUN = "20261123T084733Z-1a2b3c"
MARIADB = {
    "kind": "mariadb",
    "managed": True,
    "port": 3306,
    "name": "nocobase",
    "user": "nocobase",
    "password": Secret("db-password"),
}


def aimed(variables: Variables, release: Release, **facts: Any) -> Mapping[str, Any]:
    """The variables of a run that brings a recorded release about again."""
    known = {
        "nocobase_release": release.facts(),
        "nocobase_releases": [release.facts()],
        "nocobase_records": {f"{release.number:06d}": Secret(release.text())},
        **facts,
    }
    return {
        **variables(facts={"node1": known}, database=MARIADB),
        "nocobase_aim": release.number,
        "nbops_run": "20270101T000000Z-ffffff",
    }


def first(variables: Variables) -> Release:
    there = variables(database=MARIADB)
    return coming(cluster_of(there), there, "")


def test_after_a_restore_the_release_starts_the_database_in_use(variables: Variables) -> None:
    before = first(variables)
    there = aimed(variables, before, nocobase_database="nocobase_new")
    after = coming(cluster_of(there), there, "")
    assert (after.number, after.parent, after.backup) == (2, before.parent, before.backup)
    assert after.database == "nocobase_new"
    for host in after.nodes:
        for plan in plans_in(after, host, "nocobase_new")[1]:
            assert "\nDB_DATABASE=nocobase_new\n" in plan.environment.reveal()
            assert "\nDB_DATABASE=nocobase_new\n" in plan.first_environment.reveal()
        (env,) = [text for path, text in after.files[host].items() if path.endswith("node.env")]
        assert "DB_DATABASE=nocobase_new" in env


def test_a_release_that_is_moved_twice_names_the_last_database(variables: Variables) -> None:
    there = aimed(variables, first(variables), nocobase_database="nocobase_new")
    second = coming(cluster_of(there), there, "")
    again = aimed(variables, second, nocobase_database="nocobase_newer")
    third = coming(cluster_of(again), again, "")
    (plan,) = plans_in(third, "node1", third.database)[1]
    assert "\nDB_DATABASE=nocobase_newer\n" in plan.environment.reveal()


def test_after_the_way_back_the_present_release_names_the_database_that_was_restored(
    variables: Variables,
) -> None:
    before = replace(first(variables), number=4, parent=3, backup="b")
    there = aimed(variables, before, nocobase_database="nocobase_new")
    moved = moved_release(cluster_of(there), there)
    assert moved is not None
    assert (moved.number, moved.parent, moved.backup) == (5, 3, "b")
    assert (moved.version, moved.database, moved.phase) == (before.version, "nocobase_new", "")
    assert moved.run == "20270101T000000Z-ffffff"
    (plan,) = plans_in(moved, "node1", "nocobase_new")[1]
    assert "\nDB_DATABASE=nocobase_new\n" in plan.environment.reveal()
    later = variables(facts={"node1": {"nocobase_release": moved.facts()}}, database=MARIADB)
    assert in_use(cluster_of(later)) == "nocobase_new"


@pytest.mark.parametrize("told", [{}, {"nocobase_database": "nocobase"}])
def test_a_way_back_that_restored_none_or_in_its_place_records_nothing(
    variables: Variables, told: Mapping[str, Any]
) -> None:
    there = aimed(variables, first(variables), **told)
    assert moved_release(cluster_of(there), there) is None


def test_changed_plugins_are_a_release_with_the_backup_of_before(variables: Variables) -> None:
    before = first(variables)
    made = {"what": "database", "name": "20270101T000000Z-ffffff-plugin"}
    switched = {SWITCHED: {"names": ["map"], "enable": True}}
    there = aimed(variables, before, nocobase_backup=made, **switched)
    after = coming(cluster_of(there), there, "")
    assert (after.number, after.parent) == (2, 1)
    assert after.backup == made["name"]
    assert after.nodes == before.nodes
    way = way_back([before.facts(), after.facts()], after.facts(), None)
    assert (way.target["number"], way.backup) == (1, made["name"])


@pytest.mark.parametrize("used", ["", "nocobase", beside("nocobase", "new", RUN)])
def test_the_database_of_the_inventory_or_one_restored_beside_it_is_deployed(
    variables: Variables, used: str
) -> None:
    facts = {"node1": {"nocobase_database": used}}
    match_database(cluster_of(variables(facts=facts, database=MARIADB)))


@pytest.mark.parametrize("used", ["shop", "nocobase_2", beside("shop", "new", RUN)])
def test_another_database_than_the_one_in_use_is_refused(variables: Variables, used: str) -> None:
    facts = {"node1": {"nocobase_database": used}}
    with pytest.raises(RefusedError, match=f"but demo uses {used}"):
        match_database(cluster_of(variables(facts=facts, database=MARIADB)))


@pytest.mark.parametrize("name", ["shop", "my_new_1", "x" * 60])
def test_what_a_restore_made_is_known_by_its_name(name: str) -> None:
    assert is_restored(beside(name, "new", RUN), name)
    assert not is_restored(beside(name, "kept", RUN), name)
    assert not is_restored(beside(name, "new", RUN), f"{name[1:]}y")


def test_what_was_just_recorded_can_be_aimed_at(variables: Variables) -> None:
    before = first(variables)
    there = aimed(variables, before, nocobase_database="nocobase_new")
    record = coming(cluster_of(there), there, "")
    facts = facts_of(cluster_of(there), record)
    later = variables(facts={"node1": facts}, database=MARIADB) | {"nocobase_aim": record.number}
    cluster = cluster_of(later)
    assert (cluster.version, recorded(cluster, record.number)) == (record.version, record)
    assert recorded(cluster, before.number) == before
