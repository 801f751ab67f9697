"""What is taken away of nodes that no release has; that it is, is tested on machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from nbops.actions.api import Result
from nbops.base.errors import ActionFailed
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.steps.new import NewArgs, NewNodes, data_stays, makes_database

Variables = Callable[..., Mapping[str, Any]]
ALL = ("node1", "node2", "node3")
BARE = {
    "apps": [],
    "storage": False,
    "owner": "0:0",
    "by_hand": {},
    "database": [],
    "redis": [],
}
RELEASE = {"number": 1, "version": "2.2.15", "hosts": ["node1", "node2"]}


def facts(
    new: tuple[str, ...] = ALL,
    release: Mapping[str, Any] | None = None,
    **before: Mapping[str, Any] | None,
) -> dict[str, dict[str, Any]]:
    """What is known on each host of a cluster after the look; `before` is more than nothing on
    some of them, or None: nobody looked there."""
    hosts = ("lb", "db", "cache", *ALL)
    found: dict[str, dict[str, Any]] = {}
    for host in hosts:
        found[host] = {"nocobase_change": {"new": list(new)}, "nocobase_release": release}
        look = before.get(host, {})
        if look is not None:
            found[host]["nocobase_before"] = {**BARE, **look}
    return found


def go_back(
    variables: Mapping[str, Any],
    state: str,
    *,
    names: str = "nocobase-demo",
    storage: str = "0:0\nuploads\n",
    check: bool = False,
) -> tuple[Result, list[str]]:
    """A step of the way back on the host whose variables these are; and what was done."""
    done: list[str] = []

    def probe(script: str, **_: Any) -> SimpleNamespace:
        listed = "label=nbops.cluster" in script
        out = names if listed else storage if "ls -A" in script else ""
        return SimpleNamespace(ok=True, out=out, err="")

    def act(script: str, **_: Any) -> SimpleNamespace:
        done.append(script)
        return SimpleNamespace(ok=True, out="", err="")

    host = variables["inventory_hostname"]
    context: Any = SimpleNamespace(host=host, vars=variables, check=check, probe=probe, act=act)
    args = NewArgs(state=state)  # type: ignore[arg-type]
    return NewNodes().run(args, context), done


def look(
    variables: Mapping[str, Any], *, names: str = "", storage: str = "", state: str = "running"
) -> list[str]:
    """Look at a node; gives whether that sealed what was done."""
    done: list[str] = []

    def probe(script: str, **_: Any) -> SimpleNamespace:
        out = ""
        if "label=nbops.cluster" in script:
            out = names
        elif "container inspect" in script and names:
            out = f"{state}\t0\t0\tnode\tabc\tsha256:1\t2026-11-23T09:00:00Z\tno\tfalse\t\n"
        ok = "ls -A" not in script or storage != "gone"
        return SimpleNamespace(ok=ok, out=out, err="Stale file handle")

    context: Any = SimpleNamespace(
        host=variables["inventory_hostname"],
        vars=variables,
        check=False,
        probe=probe,
        seal=lambda: done.append("sealed"),
    )
    NewNodes().run(NewArgs(state="look"), context)
    return done


@pytest.mark.parametrize("state", ["removed", "emptied", "cleared", "dropped", "adopted"])
def test_where_nobody_looked_nothing_is_taken_away(variables: Variables, state: str) -> None:
    result, done = go_back(variables(facts=facts(node1=None)), state)
    assert result.skipped
    assert done == []


def test_the_app_of_a_new_node_goes(variables: Variables) -> None:
    result, (script,) = go_back(variables(facts=facts()), "removed")
    assert result.values["apps"] == ["nocobase-demo"]
    assert "docker rm" in script


def test_an_app_that_was_there_before_stays(variables: Variables) -> None:
    there = variables(facts=facts(node1={"apps": ["nocobase-demo"]}))
    assert go_back(there, "removed")[1] == []
    (script,) = go_back(there, "removed", names="nocobase-demo nocobase-demo.2")[1]
    assert "nocobase-demo[.]2" in script


def test_in_check_mode_it_is_only_told(variables: Variables) -> None:
    result, done = go_back(variables(facts=facts()), "removed", check=True)
    assert result.changed
    assert done == []


def test_shared_storage_is_emptied_once(variables: Variables) -> None:
    (script,) = go_back(variables("node1", facts=facts()), "emptied")[1]
    assert script == "find -H /srv/storage -mindepth 1 -delete && chown 0:0 /srv/storage\n"
    assert go_back(variables("node2", facts=facts()), "emptied")[1] == []
    local = {"storage": {"kind": "local"}}
    (script,) = go_back(variables("node2", facts=facts(), **local), "emptied")[1]
    assert "find -H /opt/nocobase/storage -mindepth 1 -delete" in script


def test_storage_that_was_not_there_goes_and_one_that_was_gets_its_owner_back(
    variables: Variables,
) -> None:
    (script,) = go_back(variables(facts=facts(node1={"owner": ""})), "emptied")[1]
    assert script == "[ ! -d /srv/storage ] || rm -rf /srv/storage\n"
    (script,) = go_back(variables(facts=facts()), "emptied", storage="1001:1001\n")[1]
    assert "chown 0:0 /srv/storage" in script


@pytest.mark.parametrize(("owner", "now"), [("0:0", "0:0\n"), ("", "")])
def test_an_empty_storage_is_left_alone(variables: Variables, owner: str, now: str) -> None:
    there = variables(facts=facts(node1={"owner": owner}))
    result, done = go_back(there, "emptied", storage=now)
    assert not result.changed
    assert done == []


def test_files_that_were_there_before_stay(variables: Variables) -> None:
    assert go_back(variables(facts=facts(node1={"storage": True})), "emptied")[1] == []


@pytest.mark.parametrize("there", [["database"], ["database", "role"]])
def test_storage_stays_where_the_database_does(variables: Variables, there: list[str]) -> None:
    assert go_back(variables(facts=facts(db={"database": there})), "emptied")[1] == []


def test_files_stay_where_visitors_may_have_written_them(variables: Variables) -> None:
    joined = facts(new=("node3",), release=RELEASE, db={"database": ["database", "role"]})
    assert go_back(variables("node3", facts=joined, storage={"kind": "local"}), "emptied")[1] == []


def test_a_node_that_the_release_has_is_not_touched(variables: Variables) -> None:
    joined = variables("node1", facts=facts(new=("node3",), release=RELEASE))
    for state in ("removed", "emptied", "adopted"):
        result, done = go_back(joined, state)
        assert result.skipped
        assert done == []


def test_storage_that_cannot_be_looked_at_is_not_taken_for_an_empty_one(
    variables: Variables,
) -> None:
    with pytest.raises(ActionFailed, match="cannot look at /srv/storage on node1: Stale"):
        look(variables(facts=facts()), storage="gone")


@pytest.mark.parametrize(
    ("names", "state", "release", "sealed"),
    [
        ("nocobase-demo", "running", None, True),
        ("nocobase-demo", "exited", None, False),
        ("nocobase-demo nocobase-demo.2", "exited", None, True),
        ("", "running", None, False),
        ("nocobase-demo", "running", RELEASE, False),
    ],
)
def test_nothing_is_undone_where_an_earlier_run_has_started_nodes(
    variables: Variables,
    names: str,
    state: str,
    release: Mapping[str, Any] | None,
    sealed: bool,
) -> None:
    there = variables(facts=facts(release=release))
    assert look(there, names=names, state=state) == (["sealed"] if sealed else [])


def test_redis_is_cleared_where_the_database_goes_and_only_there(variables: Variables) -> None:
    known = facts(node1={"redis": ["queue"]}, db={"database": ["database"]})
    result, done = go_back(variables(facts=known), "cleared")
    assert (result.changed, done) == (False, [])
    result, done = go_back(variables(facts=facts()), "cleared")
    assert (result.changed, done) == (False, [])


def stays(variables: Variables, known: dict[str, dict[str, Any]], **parts: Any) -> bool:
    return data_stays(cluster_of(variables(facts=known, **parts)))


def test_data_stay_where_they_may_be_older_than_the_run(variables: Variables) -> None:
    outside = {"kind": "postgres", "name": "noco", "user": "noco", "port": 5432}
    assert stays(variables, facts(db={"database": ["database"]}))
    assert stays(variables, facts(), database=outside)
    assert not stays(variables, facts())
    assert not stays(variables, facts(db={"database": ["role"]}))
    assert stays(variables, facts(db=None))
    assert not stays(variables, facts(release=RELEASE), database=outside)


def test_what_gave_way_to_an_adoption_starts_again_with_its_own_policy(
    variables: Variables,
) -> None:
    there = facts(node1={"by_hand": {"app-1": "always"}})
    (script,) = go_back(variables(facts=there), "adopted")[1]
    assert "docker update --restart always app-1" in script
    assert "docker start app-1" in script
    assert go_back(variables("node2", facts=there), "adopted")[1] == []


def test_who_keeps_a_database_of_his_own_is_told(variables: Variables) -> None:
    known = facts(db={"database": ["database"]})
    (warning,) = go_back(variables("node1", facts=known), "removed")[0].warnings
    assert warning.startswith("the database nocobase keeps what the app wrote there")
    assert go_back(variables("node2", facts=known), "removed")[0].warnings == ()
    assert go_back(variables("node1", facts=facts()), "removed")[0].warnings == ()


def test_only_a_database_that_was_looked_for_in_vain_is_made(variables: Variables) -> None:
    def makes(known: dict[str, dict[str, Any]]) -> bool:
        return makes_database(cluster_of(variables(facts=known)))

    assert makes(facts())
    assert not makes(facts(db={"database": ["database"]}))
    assert not makes(facts(db=None))
