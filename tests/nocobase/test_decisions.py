from __future__ import annotations

import pytest

from nbops.nocobase.decisions import Peer, how_start, why_start
from nbops.nocobase.health import Health, HealthReport
from nbops.nocobase.runtimes.api import NodeState, Start

UP, SILENT, STARTING, BROKEN = map(
    HealthReport, (Health.UP, Health.SILENT, Health.STARTING, Health.BROKEN)
)
RUNNING = NodeState(there=True, running=True, configuration="c", image="i")
ME = Peer("node1", SILENT)
V = "2.2.15"


def test_a_node_that_is_as_it_should_be_is_left_alone() -> None:
    assert why_start(RUNNING, UP, "c", "i", several=False) == ""


def test_a_node_that_starts_already_is_left_alone() -> None:
    assert why_start(RUNNING, STARTING, "c", "i", several=False) == ""


@pytest.mark.parametrize(
    ("state", "health", "several", "words"),
    [
        (NodeState(), SILENT, False, "never started"),
        (NodeState(there=True, configuration="c", image="i"), SILENT, False, "does not run"),
        (NodeState(True, True, configuration="old", image="i"), UP, False, "configuration"),
        (NodeState(True, True, configuration="c", image="old"), UP, False, "image"),
        (NodeState(True, True, 0, 0, Start.FIRST, "c", "i"), UP, True, "one process"),
        (RUNNING, BROKEN, False, "broken"),
    ],
)
def test_a_node_is_started_for_a_reason(
    state: NodeState, health: HealthReport, several: bool, words: str
) -> None:
    assert words in why_start(state, health, "c", "i", several=several)


def test_the_first_node_of_a_silent_cluster_may_migrate() -> None:
    start, _ = how_start(V, True, ME, [Peer("node2", SILENT), Peer("node3", SILENT)])
    assert start is Start.FIRST


def test_a_single_node_may_migrate() -> None:
    assert how_start(V, True, ME, [])[0] is Start.FIRST


@pytest.mark.parametrize("health", [STARTING, BROKEN, HealthReport(Health.STRANGE)])
def test_the_first_node_does_not_start_beside_another_that_is_not_silent(
    health: HealthReport,
) -> None:
    start, reason = how_start(V, True, ME, [Peer("node2", health)])
    assert start is None
    assert "node2" in reason


def test_no_other_node_starts_while_none_serves_this_version() -> None:
    start, reason = how_start(V, False, ME, [Peer("node1", STARTING), Peer("node3", SILENT)])
    assert start is None
    assert "only one node may install or migrate" in reason


@pytest.mark.parametrize("first", [True, False])
def test_beside_a_node_that_serves_the_version_a_node_starts_without_migrating(
    first: bool,
) -> None:
    peers = [Peer("node2", UP, V), Peer("node3", STARTING)]
    assert how_start(V, first, ME, peers)[0] is Start.NODE


@pytest.mark.parametrize("first", [True, False])
def test_two_versions_never_run_together(first: bool) -> None:
    start, reason = how_start(V, first, ME, [Peer("node2", UP, V), Peer("node3", UP, "2.2.14")])
    assert start is None
    assert "node3 runs 2.2.14" in reason


def test_a_node_that_serves_the_version_itself_is_proof_enough_to_start_it_again() -> None:
    assert how_start(V, False, Peer("node1", UP, V), [])[0] is Start.NODE


def test_a_node_that_serves_an_older_version_migrates_when_it_is_the_first() -> None:
    assert how_start(V, True, Peer("node1", UP, "2.2.14"), [])[0] is Start.FIRST
