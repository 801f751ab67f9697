from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from nbops.base.command import Outcome, Text
from nbops.base.errors import ActionFailed
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.plans import node_plans
from nbops.nocobase.records import Records, all_of, on_its_way, present, records_on
from nbops.nocobase.releases import Release
from nbops.nocobase.runtimes.kinds import all_runtimes

Variables = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Told:
    """A host that gives one answer."""

    answer: Outcome
    host: str = "node1"

    def probe(self, script: Text) -> Outcome:
        assert "/var/lib/nbops/demo/releases" in str(script)
        return self.answer


def release(number: int, phase: str = "") -> Release:
    return Release(
        number=number, parent=number - 1 or None, version="2.2.15", images={}, fingerprint="f",
        who="ann@desk", when="T", run="R", phase=phase, nodes={"node1": [{"app_key": "secret"}]},
    )  # fmt: skip


def line(name: str, one: Release) -> str:
    return f"{name}.json\t{one.text().replace(chr(10), '')}\n"


def test_records_are_read_and_their_secrets_left_behind(variables: Variables) -> None:
    out = line("000001", release(1)) + line("000002", release(2))
    out += line("pending", release(3, "upgrade"))
    found = records_on(cluster_of(variables()), Told(Outcome(0, out.encode())))
    assert sorted(found.known) == [1, 2]
    assert found.last == 2
    assert found.pending is not None
    assert found.pending["phase"] == "upgrade"
    assert "secret" not in str(found)


def test_a_file_that_is_no_release_is_named(variables: Variables) -> None:
    answer = Outcome(0, b"000001.json\t{}\n")
    with pytest.raises(ActionFailed, match=r"releases/000001\.json on node1 is no release"):
        records_on(cluster_of(variables()), Told(answer))


def test_a_folder_that_cannot_be_read_is_no_empty_one(variables: Variables) -> None:
    with pytest.raises(ActionFailed, match="cannot read the releases on node1: denied"):
        records_on(cluster_of(variables()), Told(Outcome(1, b"", b"denied")))


def test_what_any_host_knows_counts() -> None:
    one = Records("a", {1: release(1).facts()}, release(3, "maintenance").facts())
    other = Records("b", {2: release(2).facts()}, release(3, "upgrade").facts())
    now, way = present([one, other]), on_its_way([one, other])
    assert now is not None
    assert now["number"] == 2
    assert way is not None
    assert way["phase"] == "upgrade"
    assert [each["number"] for each in all_of([one, other])] == [2, 1]
    assert present([]) is None


def test_every_runtime_can_follow_a_log(variables: Variables) -> None:
    cluster = cluster_of(variables())
    (plan,) = node_plans(cluster, cluster.me)
    for runtime in all_runtimes():
        assert "--follow" in runtime.log_script(plan, 10, follow=True)
        assert "--follow" not in runtime.log_script(plan, 10)
