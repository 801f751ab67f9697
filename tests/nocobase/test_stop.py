"""Whether a node may stop while visitors are let in; the stop itself is tested on machines."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from nbops.base.errors import ActionFailed
from nbops.nocobase.steps.stop import Autostart, AutostartArgs, StopArgs, StopNode

Variables = Callable[..., Mapping[str, Any]]
ALL = ("node1", "node2", "node3")
PAGE = "HTTP/1.1 503 Service Unavailable\nRetry-After: 30"
APP = "HTTP/1.1 200 OK"
BAD_GATEWAY = "HTTP/1.1 502 Bad Gateway"
SILENT = ""
RUNS = "running\t0\t0\tnode\tabc\tsha256:1\t2026-11-23T09:00:00Z\tno\tfalse\t\n"
STANDS = RUNS.replace("running", "exited")


def stop(
    variables: Mapping[str, Any],
    door: str,
    *,
    together: Sequence[str] = ALL,
    others: int = 200,
    state: str = RUNS,
    check: bool = False,
    **args: Any,
) -> list[str]:
    """Stop node1 while the balancer answers so; gives what was done."""
    done: list[str] = []

    def probe(script: str) -> SimpleNamespace:
        if "--dump-header" in script:
            out = "".join(f"0 {line}\n" for line in door.splitlines())
        elif "curl" in script:
            answer = base64.b64encode(f"\n{others}".encode()).decode()
            out = f"0 {answer}\n1 {answer}\n"
        else:
            lists = "label=nbops.cluster" in script or "basename" in script
            out = "" if lists else state
        return SimpleNamespace(ok=True, out=out, err="")

    def act(script: str, **_: Any) -> SimpleNamespace:
        done.append(script)
        return SimpleNamespace(ok=True, out="", err="")

    context: Any = SimpleNamespace(
        host="node1", vars=variables, hosts=together, check=check, probe=probe, act=act
    )
    StopNode().run(StopArgs(**args), context)
    return done


@pytest.mark.parametrize("door", [APP, BAD_GATEWAY, "HTTP/1.1 503 Service Unavailable"])
def test_the_last_nodes_do_not_stop_while_visitors_are_let_in(
    variables: Variables, door: str
) -> None:
    with pytest.raises(ActionFailed, match="visitors do not get the 503 page") as refused:
        stop(variables(), door)
    assert "`balancer_maintenance: on` comes first" in (refused.value.problems[0].hint or "")


@pytest.mark.parametrize("door", [PAGE, SILENT])
def test_all_stop_behind_the_page_and_where_nobody_is_let_in(
    variables: Variables, door: str
) -> None:
    assert stop(variables(), door)


def test_a_node_stops_while_another_one_serves(variables: Variables) -> None:
    assert stop(variables(), APP, together=("node1",))
    with pytest.raises(ActionFailed, match="no other node would serve"):
        stop(variables(), APP, together=("node1",), others=503)


def test_who_wants_it_stops_without_a_page(variables: Variables) -> None:
    assert stop(variables(), APP, anyway=True)


def test_nothing_is_asked_where_nothing_is_taken_from_visitors(variables: Variables) -> None:
    worker = variables(runtime={"kind": "compose", "port": 13000, "worker_mode": "*"})
    assert stop(worker, APP)
    assert stop(variables(), APP, check=True) == []
    stop(variables(), APP, state=STANDS)


def test_what_does_not_run_may_not_come_back_but_a_dry_run_has_not_started_it(
    variables: Variables,
) -> None:
    def probe(_script: str) -> SimpleNamespace:
        return SimpleNamespace(ok=True, out=STANDS, err="")

    context: Any = SimpleNamespace(host="node1", vars=variables(), check=False, probe=probe)
    with pytest.raises(ActionFailed, match="the app does not run on node1"):
        Autostart().run(AutostartArgs(), context)
    context.check = True
    assert not Autostart().run(AutostartArgs(), context).changed
