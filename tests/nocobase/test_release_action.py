from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from nbops.actions.api import ActionContext, EndRun
from nbops.base.command import Outcome
from nbops.base.errors import ActionFailed, Place, RefusedError
from nbops.base.secret import Secret
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.plans import here, plans_in
from nbops.nocobase.releases import Release
from nbops.nocobase.steps.release import (
    ReleaseArgs,
    ReleaseRecord,
    back,
    coming,
    match,
    newer,
    nodes,
    none_pending,
    place_of_version,
)

Variables = Callable[..., Mapping[str, Any]]
IMAGE = {"reference": "registry:5000/nocobase/nocobase:2.2.15", "digest": "sha256:aa"}
NODES = ["node1", "node2", "node3"]


def facts(number: int, version: str = "2.2.15") -> dict[str, Any]:
    return {"nocobase_release": {"number": number, "version": version, "hosts": NODES}}


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


def test_a_version_that_is_earlier_is_gone_back_to_and_not_upgraded_to(
    variables: Variables,
) -> None:
    with pytest.raises(RefusedError) as refused:
        match(cluster_of(variables(facts={"lb": facts(4, "2.2.16")})))
    hint = str(refused.value.problems[0].hint)
    assert "nbops rollback" in hint
    assert "upgrade" not in hint


def test_the_place_of_the_version_is_known_when_the_inventory_tells_it() -> None:
    told = {"nbops_places": {"version": {"file": "i.yml", "line": 3, "column": 5}}}
    assert place_of_version(told) == Place("i.yml", 3, 5)
    assert place_of_version({}) is None


def test_the_first_release_has_no_parent(variables: Variables) -> None:
    there = variables(facts={"node1": {"nocobase_image": IMAGE}})
    release = coming(cluster_of(there), there, "")
    assert (release.number, release.parent) == (1, None)
    assert release.images == {IMAGE["reference"]: "sha256:aa"}
    assert release.who == "ann@desk"
    assert release.when == "2026-11-23T08:47:33Z"
    assert set(release.files) == {"node1", "node2", "node3"}


def test_the_same_again_is_the_same_release(variables: Variables) -> None:
    there = variables(facts={"node1": {"nocobase_image": IMAGE}})
    first = coming(cluster_of(there), there, "")
    known = {"node1": {"nocobase_image": IMAGE, "nocobase_release": first.facts()}}
    later = {
        **variables(facts=known),
        "nbops_run": "20270101T000000Z-ffffff",
        "nbops_operator": "bob@x",
    }
    assert coming(cluster_of(later), later, "").text() == first.text()


def test_something_else_is_the_next_release(variables: Variables) -> None:
    there = variables(facts={"node1": {"nocobase_image": IMAGE}})
    first = coming(cluster_of(there), there, "")
    known = {"node1": {"nocobase_image": IMAGE, "nocobase_release": first.facts()}}
    other = variables(facts=known, env={"LOG": "debug"})
    second = coming(cluster_of(other), other, "")
    assert (second.number, second.parent, second.backup) == (2, 1, "")


def test_every_host_writes_the_same_text(variables: Variables) -> None:
    known = {"node1": {"nocobase_image": IMAGE}}
    texts = {
        coming(cluster_of(there), there, "").text()
        for there in (variables(host, facts=known) for host in ("node1", "node3", "db", "lb"))
    }
    assert len(texts) == 1


def upgraded(variables: Variables, phase: str) -> Release:
    """What an upgrade of release 1 brings about; the backup is made."""
    first = coming(cluster_of(one := variables()), one, "")
    backup = {"what": "database", "name": "r7-upgrade"}
    known = {"node1": {"nocobase_release": first.facts(), "nocobase_backup": backup}}
    there = variables(facts=known, version="2.2.16")
    return coming(cluster_of(there), there, phase)


def test_a_release_that_touches_the_database_names_the_backup_of_what_was_before(
    variables: Variables,
) -> None:
    assert upgraded(variables, "maintenance").backup == ""
    assert upgraded(variables, "upgrade").backup == "r7-upgrade"
    assert upgraded(variables, "").backup == "r7-upgrade"


def test_a_later_version_may_come(variables: Variables) -> None:
    there = variables(facts={"node1": facts(1)}, version="2.2.16")
    result = newer(cluster_of(there))
    assert (result.failed, result.directive) == (False, None)


def test_the_same_version_again_ends_the_run_well(variables: Variables) -> None:
    result = newer(cluster_of(variables(facts={"node1": facts(1)})))
    assert isinstance(result.directive, EndRun)
    assert "runs 2.2.15 already" in result.msg


@pytest.mark.parametrize("installed", ["2.2.16", "2.10.0", "3.0.0-beta.1", "2.2.15.1"])
def test_an_earlier_version_is_refused_with_the_way_back(
    variables: Variables, installed: str
) -> None:
    there = variables(facts={"node1": facts(1, installed)})
    with pytest.raises(RefusedError) as refused:
        newer(cluster_of(there))
    assert "nbops rollback" in str(refused.value.problems[0].hint)


def test_the_release_follows_its_previews(variables: Variables) -> None:
    there = variables(facts={"node1": facts(1, "2.2.15-beta.12")})
    assert not newer(cluster_of(there)).failed


def test_while_an_upgrade_is_half_way_nothing_else_begins(variables: Variables) -> None:
    way = {"who": "ann@desk", "run": "r9", "version": "2.2.16", "phase": "upgrade", "number": 2}
    there = variables(facts={"node2": facts(1) | {"nocobase_pending": way}})
    with pytest.raises(RefusedError, match=r"ann@desk began to bring demo to 2\.2\.16"):
        newer(cluster_of(there))


def test_a_rollback_goes_back_from_what_is_half_way(variables: Variables) -> None:
    one = facts(1)["nocobase_release"] | {"parent": None, "plugins": [], "backup": ""}
    way = one | {"number": 2, "parent": 1, "version": "2.2.16", "backup": "b", "phase": "upgrade"}
    known = {"nocobase_release": one, "nocobase_releases": [one], "nocobase_pending": way}
    result = back(cluster_of(variables(facts={"node2": known})), None)
    assert (result.values["to"]["number"], result.values["backup"]) == (1, "b")


def test_a_note_on_a_node_that_was_away_when_the_upgrade_was_recorded_is_none_any_more(
    variables: Variables,
) -> None:
    one = facts(1)["nocobase_release"] | {"parent": None, "plugins": [], "backup": ""}
    two = one | {"number": 2, "parent": 1, "backup": "b"}
    done = {"nocobase_release": two, "nocobase_releases": [one, two], "nocobase_pending": None}
    note = two | {"phase": "upgrade", "who": "ann@desk", "run": "r9"}
    away = {"nocobase_release": one, "nocobase_releases": [one], "nocobase_pending": note}
    cluster = cluster_of(variables(facts={"node1": done, "node3": away}))
    none_pending(cluster)
    assert newer(cluster).values["release"]["number"] == 2
    assert nodes(cluster).values["pending"] is None
    assert back(cluster, None).values["from"] == two


def test_an_earlier_release_is_brought_about_as_it_was_recorded(variables: Variables) -> None:
    one = variables()
    first = replace(coming(cluster_of(one), one, ""), number=1)
    told = {
        "nocobase_release": upgraded(variables, "").facts(),
        "nocobase_releases": [first.facts()],
        "nocobase_records": {"000001": Secret(first.text())},
    }
    aimed = {**variables(facts={"lb": told}, version="2.2.16", env={"LOG": "x"}), "nocobase_aim": 1}
    assert here(aimed).plans == here(variables()).plans
    assert here(aimed).cluster.app_version == "2.2.15"
    again = coming(cluster_of(aimed), aimed, "")
    assert (again.number, again.parent, again.content) == (3, None, first.content)


def test_a_restore_that_was_cut_short_leads_back_to_the_release_that_is_there(
    variables: Variables,
) -> None:
    one = coming(cluster_of(variables()), variables(), "")
    two = replace(one, number=2, parent=1, backup="b")
    told = {
        "nocobase_release": two.facts(),
        "nocobase_releases": [one.facts(), two.facts()],
        "nocobase_records": {"000002": Secret(two.text())},
    }
    aimed = {**variables(facts={"lb": told}, version="2.2.16"), "nocobase_aim": 2}
    note = coming(cluster_of(aimed), aimed, "maintenance")
    assert (note.number, note.parent, note.version) == (3, 2, "2.2.15")
    found = {"lb": told | {"nocobase_pending": note.facts()}}
    way = back(cluster_of(variables(facts=found)), None).values
    assert (way["to"]["number"], way["backup"]) == (2, "")


@pytest.mark.parametrize("name", ["upgrade", "rollback", "restore", "plugin-switch"])
def test_whoever_finds_a_cluster_behind_the_page_finds_a_note(name: str) -> None:
    path = Path(__file__).parents[2] / "runbooks" / f"{name}.yml"
    texts = [str(play) for play in yaml.safe_load(path.read_text())]
    page = next(at for at, text in enumerate(texts) if "maintenance-on.yml" in text)
    assert any("'state': 'pending'" in text for text in texts[:page])


def test_a_database_under_another_name_is_used_under_that_name(variables: Variables) -> None:
    one = variables()
    first = replace(coming(cluster_of(one), one, ""), number=1)
    told = {
        "nocobase_releases": [first.facts()],
        "nocobase_records": {"000001": Secret(first.text())},
        "nocobase_database": "nocobase_new",
    }
    aimed = {**variables(facts={"db": told}), "nocobase_aim": 1}
    for plan in (here(aimed).plan, here(variables(facts={"db": told})).plan):
        assert "\nDB_DATABASE=nocobase_new\n" in plan.environment.reveal()
        assert "\nDB_DATABASE=nocobase_new\n" in plan.first_environment.reveal()


def test_a_node_that_the_release_did_not_have_is_named(variables: Variables) -> None:
    one = variables()
    first = coming(cluster_of(one), one, "")
    less = replace(first, nodes={"node1": first.nodes["node1"]})
    with pytest.raises(ActionFailed, match="node2 was no node of release 1"):
        plans_in(less, "node2", "nocobase")


@dataclass
class Reading:
    """A host that has these records; the rest of an action's context is not asked for."""

    vars: Mapping[str, Any]
    records: Mapping[str, str]
    host: str = "node1"

    def probe(self, _script: str) -> Outcome:
        lines = (f"{name}.json\t{text}" for name, text in self.records.items())
        return Outcome(0, "\n".join(lines).encode(), b"")


def test_what_the_run_itself_wrote_is_not_what_it_found(variables: Variables) -> None:
    """It reads once more when it goes on and the journal could not keep what was read."""
    there = variables()
    first = replace(coming(cluster_of(there), there, ""), run="R0")
    way = replace(upgraded(variables, "upgrade"), run="R1")
    records = {"000001": first, "000002": replace(way, phase=""), "pending": way}
    texts = {name: json.dumps(json.loads(one.text())) for name, one in records.items()}

    def read(run: str) -> Mapping[str, Any]:
        ctx = Reading({**there, "nbops_run": run}, texts)
        return ReleaseRecord().run(ReleaseArgs(state="read"), cast(ActionContext, ctx)).facts

    its_own, of_another = read("R1"), read("R2")
    assert (its_own["nocobase_release"], its_own["nocobase_pending"]) == (first.facts(), None)
    assert of_another["nocobase_release"]["number"] == 2
    assert of_another["nocobase_pending"] == way.facts()


@dataclass
class Writing(Reading):
    """The same; what is put there is remembered."""

    check: bool = False
    scripts: list[str] = field(default_factory=list)

    def stage(self, _content: bytes) -> str:
        return "/staged"

    def seal(self) -> bool:
        return False

    def act(self, script: str) -> Outcome:
        self.scripts.append(script)
        return Outcome(0, b"", b"")


@pytest.mark.parametrize("note", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_a_host_that_lacks_what_the_others_have_recorded_gets_it(
    variables: Variables, own: bool, note: bool
) -> None:
    """Also where a note of it was left, which goes."""
    there = variables()
    record = coming(cluster_of(there), there, "")
    told = {
        "nocobase_release": record.facts(),
        "nocobase_releases": [record.facts()] if own else [],
        "nocobase_pending": record.facts() | {"phase": "upgrade"} if note else None,
    }
    ctx = Writing(variables(facts={"node1": told}), {})
    done = ReleaseRecord().run(ReleaseArgs(state="present"), cast(ActionContext, ctx))
    assert done.changed is (note or not own)
    assert all("rm -f" in script and "pending.json" in script for script in ctx.scripts)
    assert done.facts["nocobase_pending"] is None
