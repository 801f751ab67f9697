"""An app with WORKER_MODE=`-` answers that it is preparing for ever: its log tells more.

What it answers and logs is as NocoBase 2.2.15 did on a machine of the lab.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from nbops.nocobase.health import HAS_STARTED, Health
from nbops.nocobase.plans import here
from nbops.nocobase.steps.wait import see

Variables = Callable[..., Mapping[str, Any]]
PREPARING = (
    '{"error":{"status":503,"message":"application main is preparing, please wait patiently",'
    '"maintaining":true,"code":"APP_PREPARING"}}'
)
STATE = "running\t0\t0\tnode\tabc\tsha256:1\t2026-11-23T09:00:00Z\tno\tfalse\t\n"


def context(lines: int) -> Any:
    """A host whose app answers so, with so many lines of its being up in its log."""

    def probe(script: str) -> SimpleNamespace:
        if HAS_STARTED in script:
            return SimpleNamespace(ok=True, out=f"{lines}\n", err="")
        if "curl" in script:
            answer = base64.b64encode(f"{PREPARING}\n503".encode()).decode()
            return SimpleNamespace(ok=True, out=f"0 {answer}\n1 {answer}\n", err="")
        return SimpleNamespace(ok=True, out=STATE, err="")

    return SimpleNamespace(host="node1", probe=probe)


@pytest.mark.parametrize(("lines", "up"), [(0, False), (1, False), (2, True)])
def test_it_is_up_when_each_process_has_said_so_in_the_log(
    variables: Variables, lines: int, up: bool
) -> None:
    runtime = {"kind": "compose", "port": 13000, "worker_mode": "-", "cluster_mode": 2}
    _, health, version = see(here(variables(runtime=runtime)), context(lines))
    assert health.up == up
    assert version == ("2.2.15" if up else None)


def test_the_log_of_another_node_says_nothing_of_its_health(variables: Variables) -> None:
    runtime = {"kind": "compose", "port": 13000, "worker_mode": "*"}
    _, health, _ = see(here(variables(runtime=runtime)), context(5))
    assert health.state is Health.STARTING
