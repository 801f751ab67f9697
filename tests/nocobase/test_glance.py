from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nbops.nocobase.glance import (
    PAGE,
    TRAFFIC,
    AppSeen,
    BalancerSeen,
    DatabaseSeen,
    Glance,
    LockSeen,
    RedisSeen,
    behind_balancers,
    moment,
    troubles,
)
from nbops.report.glance import lines

RELEASE = {"number": 2, "version": "2.2.15-full", "when": "2026-11-23T08:47:33Z", "who": "ann@desk"}
PENDING = {"version": "2.2.16", "who": "bob@x", "run": "R1", "when": "T", "phase": "upgrade"}
APP = AppSeen(
    host="node1", name="node1", runtime="compose", running=True, up=True, health="up",
    version="2.2.15",
)  # fmt: skip
GOOD = Glance(
    cluster="demo",
    hosts={"lb": "", "node1": "", "db": ""},
    apps=[APP],
    balancers=[BalancerSeen(host="lb", kind="nginx", gives=TRAFFIC, nodes=("a:1",))],
    redis=[RedisSeen(place="c:6379", functions=("cache",), up=True, version="8.0.2")],
    database=DatabaseSeen(
        host="db", kind="postgres", name="noco", server=17, size=8_000_000, version="2.2.15"
    ),
    release=RELEASE,
    records={"lb": 2, "node1": 2, "db": 2},
)


def wrong(**parts: Any) -> list[str]:
    return [one.what for one in troubles(replace(GOOD, **parts))]


def test_a_cluster_that_serves_has_no_troubles() -> None:
    assert troubles(GOOD) == []
    assert lines(GOOD)[0] == "demo: NocoBase 2.2.15-full, as it should be"


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"hosts": {"lb": "", "db": "no route"}}, "db cannot be used: no route"),
        ({"release": None}, "nothing is deployed"),
        ({"records": {"lb": 2, "db": 1}}, "the record of release 2 is not on db"),
        ({"apps": [replace(APP, running=False)]}, "node1 does not run"),
        ({"apps": [replace(APP, up=False, health="load plugin")]}, "does not serve: load plugin"),
        ({"apps": [replace(APP, version="2.2.14")]}, "serves 2.2.14, the release is 2.2.15"),
        ({"apps": [replace(APP, comes_back=False)]}, "would not come back after a reboot"),
        ({"apps": [replace(APP, refused_by=("lb",))]}, "lb sends no requests to node1"),
        ({"apps": [replace(APP, drained_by=("lb",))]}, "node1 is drained at lb"),
        ({"balancers": [replace(GOOD.balancers[0], gives=PAGE)]}, "shows visitors the 503 page"),
        ({"balancers": [replace(GOOD.balancers[0], gives="HTTP 502")]}, "visitors: HTTP 502"),
        ({"redis": [replace(GOOD.redis[0], up=False, said="NOAUTH")]}, "not answer: NOAUTH"),
        ({"lock": LockSeen(held=True, run="R1", command="upgrade")}, "R1 (upgrade"),
        ({"pending": PENDING}, "began to bring it to 2.2.16 (run R1)"),
    ],
)
def test_what_is_not_as_it_should_be_is_told(parts: dict[str, Any], told: str) -> None:
    (what,) = wrong(**parts)
    assert told in what
    shown = "\n".join(lines(replace(GOOD, **parts)))
    assert "NOT AS IT SHOULD BE" in shown
    assert f"! {what}" in shown


def test_an_interrupted_upgrade_comes_with_the_way_on() -> None:
    (one,) = troubles(replace(GOOD, pending=PENDING))
    assert "`nbops resume R1` or `nbops abort R1`" in one.hint
    assert "`nbops rollback`" in one.hint


@pytest.mark.parametrize(
    ("command", "pending", "then"),
    [
        ("upgrade", PENDING, ", then `nbops rollback`"),
        ("restore", PENDING, ", then `nbops rollback`"),
        ("deploy", PENDING, ", then `nbops rollback`"),
        ("deploy", None, ", then `nbops start`"),
        ("restart", None, ", then `nbops start`"),
        ("maintenance on", None, ", then `nbops maintenance off`"),
        ("maintenance-off", None, ", then `nbops maintenance off`"),
        ("maintenance-report", None, ""),
        ("restart-cache", None, ""),
        ("backup", None, ""),
        ("upgrade", None, ""),
    ],
)
def test_the_way_back_of_a_lost_computer_goes_no_release_too_far(
    command: str, pending: dict[str, Any] | None, then: str
) -> None:
    lock = LockSeen(held=True, run="R1", command=command)
    (one,) = troubles(replace(GOOD, lock=lock, pending=pending))
    assert one.hint.endswith(f"`nbops lock break R1`{then}")


def test_a_first_deploy_that_was_lost_is_begun_anew() -> None:
    lock = LockSeen(held=True, run="R1", command="deploy")
    hints = [one.hint for one in troubles(replace(GOOD, lock=lock, release=None))]
    assert any(one.endswith("`nbops lock break R1`, then `nbops deploy`") for one in hints)


def test_a_run_at_work_is_no_trouble() -> None:
    lock = LockSeen(held=True, alive=True, run="R1", command="upgrade")
    assert wrong(lock=lock, pending=PENDING) == []
    assert any("R1, at work, last sign 0 s ago" in line for line in lines(replace(GOOD, lock=lock)))


def test_while_a_run_is_at_work_nobody_is_told_to_do_something() -> None:
    lock = LockSeen(held=True, alive=True, run="R1", command="upgrade")
    seen = replace(GOOD, lock=lock, apps=[replace(APP, running=False)])
    assert [one.hint for one in troubles(seen)] == [""]
    assert lines(seen)[0].endswith("a run is at work")


def test_a_database_left_at_another_version_is_told() -> None:
    database = replace(GOOD.database, version="2.2.16")  # type: ignore[type-var]
    assert wrong(database=database) == [
        "the database noco is of version 2.2.16, the release is 2.2.15"
    ]


def test_hosts_out_of_reach_leave_the_rest_to_be_seen() -> None:
    seen = replace(GOOD, hosts={"lb": "down", "db": ""}, balancers=[])
    assert seen.reached
    assert not replace(GOOD, hosts={"lb": "down"}).reached
    assert any(line.startswith("node1  compose") for line in lines(seen))


def test_the_document_is_plain_data() -> None:
    document = json.loads(json.dumps(replace(GOOD, pending=PENDING).document()))
    assert document["good"] is False
    assert document["troubles"][0]["what"].startswith("bob@x began")
    assert document["apps"][0]["version"] == "2.2.15"


def test_which_balancers_send_an_app_requests() -> None:
    ours = BalancerSeen(host="lb1", kind="nginx", gives=TRAFFIC, nodes=("a:1",), drained=("node1",))
    other = BalancerSeen(host="lb2", kind="nginx", gives=TRAFFIC, nodes=("b:1",))
    unknown = BalancerSeen(host="lb3", kind="external", gives=TRAFFIC)
    every = [ours, other, unknown]
    assert behind_balancers(APP, ["a:1"], every) == (("lb2",), ("lb1",))
    assert behind_balancers(replace(APP, visited=False), ["a:1"], every) == ((), ())


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("2026-11-23T13:02:55.12345Z", "2026-11-23 13:02:55"),
        ("Mon 2026-11-23 13:02:55 UTC", "2026-11-23 13:02:55"),
        ("0001-01-01T00:00:00Z", ""),
        ("", ""),
    ],
)
def test_times_of_both_runtimes_are_read(told: str, read: str) -> None:
    assert moment(told) == read


def test_what_hosts_say_cannot_change_the_terminal() -> None:
    evil = replace(APP, up=False, health="\x1b[2Jgone\nnode9 fine")
    shown = lines(replace(GOOD, apps=[evil]))
    assert not any("\x1b" in line for line in shown)
    assert not any(line.startswith("node9") for line in shown)


@pytest.mark.parametrize("pending", [None, PENDING])
def test_what_a_run_left_comes_first_and_nothing_else_is_proposed(
    pending: dict[str, Any] | None,
) -> None:
    """Every other command would be refused until that is ended."""
    down = replace(GOOD.apps[0], running=False)
    lock = LockSeen(held=pending is None, run="R1", command="upgrade")
    seen = replace(GOOD, lock=lock, pending=pending, apps=[down])
    first, *others = troubles(seen)
    assert "resume" in first.hint
    assert others
    assert [one.hint for one in others if one.hint] == []
    assert "nbops deploy" in troubles(replace(GOOD, apps=[down]))[0].hint
