from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, cast

import pytest

from nbops.actions.api import ActionContext, Result
from nbops.base.errors import ActionFailed, RefusedError
from nbops.base.secret import Secret
from nbops.nocobase.changes import Standing
from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.releases import Release
from nbops.nocobase.steps.change import ChangeArgs, PlanChange
from nbops.nocobase.steps.release import coming

Variables = Callable[..., Mapping[str, Any]]
NODES = ("node1", "node2", "node3")


class Context:
    """The context of an action that contacts no host."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.vars = variables


def told(variables: Mapping[str, Any], state: str) -> Result:
    return PlanChange().run(ChangeArgs(state=state), cast(ActionContext, Context(variables)))  # type: ignore[arg-type]


def release(variables: Variables, *more: str) -> Release:
    """The release that the inventory describes, with more nodes than it has now."""
    there = variables()
    record = coming(cluster_of(there), there, "")
    nodes = {**record.nodes, **dict.fromkeys(more, record.nodes["node1"])}
    return replace(record, nodes=nodes)


def seen(record: Release | None, **standings: Standing) -> dict[str, dict[str, Any]]:
    """Facts of a cluster whose nodes serve as they should, but for those that are named."""
    facts: dict[str, dict[str, Any]] = {}
    for node in NODES:
        standing = standings.get(node, Standing(node, runs=True, up=True))
        facts[node] = {"nocobase_standing": asdict(standing)}
        if record is not None:
            facts[node]["nocobase_release"] = record.facts()
            facts[node]["nocobase_records"] = {"000001": Secret(record.text())}
    return facts


def test_nothing_has_to_be_done_where_all_is_as_recorded(variables: Variables) -> None:
    result = told(variables(facts=seen(release(variables))), "judge")
    assert result.values["way"] == "nothing"
    assert result.facts == {"nocobase_change": result.values}
    assert result.warnings == ()


def test_the_first_time_no_record_is_needed(variables: Variables) -> None:
    result = told(variables(facts=seen(None)), "judge")
    assert result.values["way"] == "first"
    assert result.values["start"] == list(NODES)


def test_a_node_that_nobody_looked_at_is_an_error_of_the_runbook(variables: Variables) -> None:
    with pytest.raises(ActionFailed, match="node1 was not looked at"):
        told(variables(), "judge")


def test_records_that_were_not_opened_are_an_error_of_the_runbook(variables: Variables) -> None:
    facts = seen(release(variables))
    del facts["node1"]["nocobase_records"]
    with pytest.raises(ActionFailed, match="not at hand"):
        told(variables(facts=facts), "judge")


def test_a_node_out_of_reach_is_named_once_with_the_line_that_stops_it(
    variables: Variables,
) -> None:
    facts = seen(release(variables, "node9"))
    (warning,) = told(variables(facts=facts), "judge").warnings
    assert "node9 is in the inventory no more" in warning
    name = "nocobase-demo"
    assert f"ssh node9 'docker update --restart no {name} && docker stop {name}'" in warning
    assert told(variables("node2", facts=facts), "judge").warnings == ()


def test_a_cluster_of_which_no_node_would_stay_is_refused(variables: Variables) -> None:
    record = release(variables)
    facts = seen(replace(record, nodes={"node9": record.nodes["node1"]}))
    with pytest.raises(RefusedError, match="none of node9") as refused:
        told(variables(facts=facts), "judge")
    assert "beside the old ones first" in str(refused.value.problems[0].hint)


def test_the_nodes_of_the_record_are_told_and_no_others(variables: Variables) -> None:
    record = release(variables)
    nodes = {name: plans for name, plans in record.nodes.items() if name != "node3"}
    facts = seen(replace(record, nodes=nodes))
    told_of = told(variables(facts=facts), "recorded").values
    assert told_of["nodes"] == ["node1", "node2"]
    assert told_of["number"] == 1


def test_a_record_without_the_node_that_starts_first_is_refused(variables: Variables) -> None:
    record = release(variables)
    nodes = {name: plans for name, plans in record.nodes.items() if name != "node1"}
    with pytest.raises(ActionFailed, match="node1 is no node of release 1 yet"):
        told(variables(facts=seen(replace(record, nodes=nodes))), "recorded")


def test_what_was_never_deployed_can_neither_stop_nor_start(variables: Variables) -> None:
    with pytest.raises(RefusedError, match="not deployed yet"):
        told(variables(facts=seen(None)), "recorded")
