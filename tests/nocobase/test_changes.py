from __future__ import annotations

from typing import Any

import pytest

from nbops.nocobase.changes import Difference, Scope, Standing, Way, decide, differences, scope_of

ALL = ("node1", "node2", "node3")
EXTRA = Difference("EXTRA", Scope.NODE)
REDIS = Difference("REDIS_URL", Scope.CLUSTER, "nodes do not hear each other")
PLUGIN = Difference("APPEND_PRESET_BUILT_IN_PLUGINS", Scope.DATABASE, "plugins migrate")


def nodes(**others: Standing) -> list[Standing]:
    """Three nodes that serve as they should, but for those that are named."""
    return [others.get(host, Standing(host, runs=True, up=True)) for host in ALL]


def due(host: str, *changes: Difference, known: bool = True) -> Standing:
    """A node that serves, and whose settings have changed."""
    return Standing(host, "its configuration has changed", True, True, known, changes=changes)


def down(host: str) -> Standing:
    return Standing(host, "it does not run")


def plan(variables: str = "A=1\n", **fields: Any) -> dict[str, Any]:
    return {
        "kind": "compose",
        "image": "nocobase:2.2.15",
        "storage": "/srv",
        "folder": "/opt/nocobase",
        "user": "root",
        "environment": variables,
        "first_environment": variables,
    } | fields


@pytest.mark.parametrize(
    ("variable", "scope"),
    [
        ("EXTRA", Scope.NODE),
        ("CLUSTER_MODE", Scope.NODE),
        ("WORKER_MODE", Scope.NODE),
        ("LOGGER_LEVEL", Scope.NODE),
        ("NOCOBASE_PKG_PASSWORD", Scope.NODE),
        ("APP_KEY", Scope.CLUSTER),
        ("APP_AES_SECRET_KEY", Scope.CLUSTER),
        ("DB_PASSWORD", Scope.CLUSTER),
        ("CACHE_REDIS_URL", Scope.CLUSTER),
        ("PUBSUB_ADAPTER_REDIS_URL", Scope.CLUSTER),
        ("LOCK_ADAPTER_DEFAULT", Scope.CLUSTER),
        ("QUEUE_ADAPTER", Scope.CLUSTER),
        ("REDIS_URL", Scope.CLUSTER),
        ("APP_PORT", Scope.CLUSTER),
        ("TZ", Scope.CLUSTER),
        ("APPEND_PRESET_BUILT_IN_PLUGINS", Scope.DATABASE),
        ("NBOPS_LOCAL_PLUGINS", Scope.DATABASE),
    ],
)
def test_each_variable_concerns_a_node_or_all_or_the_database(variable: str, scope: Scope) -> None:
    found, why = scope_of(variable)
    assert found is scope
    assert bool(why) is (scope is not Scope.NODE)


def test_differences_name_variables_and_never_their_values() -> None:
    old = [plan('A=1\nDB_PASSWORD="old one"\nGONE=1\n')]
    new = [plan('A=1\nDB_PASSWORD="new one"\nCOME=1\n')]
    found = differences(old, new)
    assert {one.name for one in found} == {"DB_PASSWORD", "GONE", "COME"}
    assert "one" not in "".join(one.name for one in found)


def test_equal_plans_have_no_difference() -> None:
    assert differences([plan()], [plan()]) == ()


def test_another_order_of_variables_is_no_difference() -> None:
    assert differences([plan("A=1\nB=2\n")], [plan("B=2\nA=1\n")]) == ()


def test_the_account_of_the_first_start_concerns_each_node_for_itself() -> None:
    (one,) = differences([plan()], [plan(first_environment="A=1\nINIT_ROOT_EMAIL=a@b.c\n")])
    assert (one.name, one.scope) == ("INIT_ROOT_EMAIL", Scope.NODE)


@pytest.mark.parametrize(
    ("field", "value", "scope"),
    [
        ("image", "other:2.2.15", Scope.DATABASE),
        ("storage", "/mnt", Scope.CLUSTER),
        ("kind", "pm2", Scope.NODE),
        ("folder", "/srv/nocobase", Scope.NODE),
    ],
)
def test_other_settings_of_a_node_have_their_scope_too(
    field: str, value: str, scope: Scope
) -> None:
    (one,) = differences([plan()], [plan(**{field: value})])
    assert one.scope is scope


def test_another_number_of_instances_concerns_the_balancers() -> None:
    (one,) = differences([plan()], [plan(), plan()])
    assert one.scope is Scope.CLUSTER


def test_nothing_is_done_where_nothing_has_changed() -> None:
    change = decide(ALL, ALL, nodes())
    assert change.way is Way.NOTHING
    assert not (change.start or change.restart or change.stop or change.told)


def test_the_first_time_all_nodes_are_started() -> None:
    change = decide(None, ALL, [down(host) for host in ALL])
    assert change.way is Way.FIRST
    assert change.start == change.new == ALL
    assert not change.close


def test_a_changed_variable_restarts_the_nodes_one_by_one() -> None:
    change = decide(ALL, ALL, [due(host, EXTRA) for host in ALL])
    assert change.way is Way.ONE_BY_ONE
    assert change.restart == ALL
    assert not (change.close or change.backup or change.stop)
    assert "EXTRA" in "\n".join(change.told)


def test_what_must_be_equal_everywhere_stops_all_behind_the_page() -> None:
    change = decide(ALL, ALL, [due(host, EXTRA, REDIS) for host in ALL])
    assert change.way is Way.TOGETHER
    assert change.stop == change.start == ALL
    assert change.close and change.open and not change.backup
    assert "503" in change.told[-1]
    assert "REDIS_URL changes, and nodes do not hear each other" in change.told[-1]


def test_plugins_change_behind_a_backup() -> None:
    assert decide(ALL, ALL, [due(host, PLUGIN) for host in ALL]).backup


def test_plugins_change_behind_a_backup_also_where_nothing_runs() -> None:
    change = decide(
        ALL, ALL, [Standing(host, "it does not run", changes=(PLUGIN,)) for host in ALL]
    )
    assert change.backup and change.close and change.open
    assert not change.stop


def test_a_node_that_joins_is_started_and_no_other_is_touched() -> None:
    joined = [*nodes(), Standing("node4", "it was never started here")]
    change = decide(ALL, (*ALL, "node4"), joined)
    assert change.way is Way.ONE_BY_ONE
    assert change.start == change.new == ("node4",)
    assert not change.restart
    assert change.told == ("node4 joins",)


def test_a_node_that_leaves_is_stopped_when_it_can_be_reached() -> None:
    change = decide((*ALL, "node4", "node5"), (*ALL, "node4"), nodes())
    assert change.leave == ("node4",)
    assert change.gone == ("node5",)
    assert change.way is Way.ONE_BY_ONE


def test_a_node_of_the_release_must_stay() -> None:
    with pytest.raises(ValueError, match="none of node8 and node9"):
        decide(("node8", "node9"), (*ALL, "node8"), nodes())


def test_a_node_that_is_down_is_started_without_a_restart_of_others() -> None:
    change = decide(ALL, ALL, nodes(node2=down("node2")))
    assert (change.start, change.restart) == (("node2",), ())


def test_a_node_that_is_down_does_not_take_the_others_with_it() -> None:
    stopped = [Standing(host, "it does not run", changes=(REDIS,)) for host in ALL]
    change = decide(ALL, ALL, stopped)
    assert change.start == ALL
    assert not (change.stop or change.close)


def test_the_only_node_that_serves_cannot_be_restarted_unseen() -> None:
    change = decide(("node1",), ("node1",), [due("node1", EXTRA)])
    assert change.way is Way.TOGETHER
    assert "the only node" in change.told[-1]


def test_nodes_without_visitors_do_not_count_as_the_others_that_serve() -> None:
    worker = Standing("node2", runs=True, visited=False)
    change = decide(("node1", "node2"), ("node1", "node2"), [due("node1", EXTRA), worker])
    assert change.close


def test_what_runs_with_settings_that_nobody_knows_stops_with_all() -> None:
    change = decide(ALL, ALL, nodes(node1=due("node1", known=False)))
    assert change.stop == ("node1",)
    assert "neither recorded nor wanted" in change.told[-1]


def test_a_run_that_ended_behind_the_page_is_brought_to_its_end() -> None:
    began = [Standing("node1", runs=True, up=True, closed=True), down("node2"), down("node3")]
    change = decide(ALL, ALL, began)
    assert change.way is Way.TOGETHER
    assert change.start == ("node2", "node3")
    assert change.open and not change.close


def test_a_run_that_ended_before_all_had_stopped_stops_the_rest() -> None:
    began = [Standing("node1", "it does not run", closed=True, changes=(REDIS,))]
    began += [due(host, REDIS) for host in ALL[1:]]
    change = decide(ALL, ALL, began)
    assert change.stop == ALL[1:]
    assert change.start == ALL
    assert change.close and change.open
