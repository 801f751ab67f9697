from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nbops.actions.systemd import (
    ServiceArgs,
    SystemdArgs,
    Unit,
    act_script,
    decide,
    manage,
    probe_script,
    read_unit,
)
from nbops.base.command import Outcome
from nbops.base.errors import ActionFailed
from tests.actions.conftest import LocalContext

RUNNING = Unit({"LoadState": "loaded", "ActiveState": "active"}, "enabled")
STOPPED = Unit({"LoadState": "loaded", "ActiveState": "inactive"}, "disabled")
FAILED = Unit({"LoadState": "loaded", "ActiveState": "failed"}, "enabled")
STOPPING = Unit({"LoadState": "loaded", "ActiveState": "deactivating"}, "enabled")
STARTING = Unit({"LoadState": "loaded", "ActiveState": "activating"}, "static")
MASKED = Unit({"LoadState": "masked", "ActiveState": "inactive"}, "masked")


@pytest.mark.parametrize(
    ("arguments", "unit", "verbs"),
    [
        ({"state": "started"}, RUNNING, []),
        ({"state": "started"}, STARTING, []),
        ({"state": "started"}, STOPPED, ["start -- nginx"]),
        ({"state": "started"}, FAILED, ["start -- nginx"]),
        ({"state": "stopped"}, RUNNING, ["stop -- nginx"]),
        ({"state": "stopped"}, STOPPING, ["stop -- nginx"]),
        ({"state": "stopped"}, STOPPED, []),
        ({"state": "restarted"}, RUNNING, ["restart -- nginx"]),
        ({"state": "restarted"}, STOPPED, ["start -- nginx"]),
        ({"state": "reloaded"}, RUNNING, ["reload -- nginx"]),
        ({"state": "reloaded"}, STOPPED, ["start -- nginx"]),
        ({"enabled": True}, RUNNING, []),
        ({"enabled": True}, STARTING, []),
        ({"enabled": True}, STOPPED, ["enable -- nginx"]),
        ({"enabled": False}, RUNNING, ["disable -- nginx"]),
        ({"masked": True}, RUNNING, ["mask -- nginx"]),
        ({"masked": True}, MASKED, []),
        ({"masked": False}, MASKED, ["unmask -- nginx"]),
        ({"state": "started", "no_block": True}, STOPPED, ["start --no-block -- nginx"]),
        (
            {"state": "started", "enabled": True, "masked": False, "force": True},
            MASKED,
            ["unmask --force -- nginx", "enable --force -- nginx", "start -- nginx"],
        ),
    ],
)
def test_only_what_differs_is_done(arguments: dict[str, Any], unit: Unit, verbs: list[str]) -> None:
    args = SystemdArgs.model_validate({"name": "nginx", **arguments})
    assert decide(args, unit) == ([], verbs)


def test_unit_files_are_read_again_before_anything_else() -> None:
    args = SystemdArgs.model_validate({"name": "a b", "state": "started", "daemon-reload": True})
    quiet, changes = decide(args, STOPPED)
    assert (quiet, changes) == (["daemon-reload"], ["start -- 'a b'"])
    script = act_script("user", quiet + changes)
    assert script.endswith(
        "set -e\nsystemctl --user daemon-reload\nsystemctl --user start -- 'a b'\n"
    )


def test_what_systemctl_prints_is_read() -> None:
    unit = read_unit("enabled\n=\nId=x.service\nLoadState=loaded\nEnvironment=A=1\n second\n"
                     "ActiveState=active\n")  # fmt: skip
    assert (unit.known, unit.runs, unit.starts_with_machine) == (True, True, True)
    assert unit.properties["Environment"] == "A=1\n second"
    assert not read_unit("=\nLoadState=not-found\nActiveState=inactive\n").known


@pytest.mark.parametrize(
    "arguments",
    [{}, {"name": "x"}, {"state": "started"}, {"name": "x", "state": "running"}],
)
def test_a_task_that_asks_for_nothing_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SystemdArgs.model_validate(arguments)
    with pytest.raises(ValidationError):
        ServiceArgs.model_validate(arguments)


class Recorded(LocalContext):
    """A host that answers probes with what a machine once said."""

    answer = Outcome(0)

    def probe(self, script: Any, **_: Any) -> Outcome:
        self.probes.append(script)
        return self.answer

    def act(self, script: Any, **_: Any) -> Outcome:
        assert not self.check
        self.acts.append(script)
        return Outcome(0)


def test_a_running_service_costs_one_round_trip(tmp_path: Any) -> None:
    ctx = Recorded(tmp_path)
    ctx.answer = Outcome(0, b"enabled\n=\nLoadState=loaded\nActiveState=active\n")
    result = manage(SystemdArgs(name="nginx", state="started", enabled=True), ctx)
    assert not result.changed
    assert (result.values["state"], result.values["enabled"]) == ("started", True)
    assert result.values["status"]["ActiveState"] == "active"
    assert (len(ctx.probes), len(ctx.acts)) == (1, 0)


def test_check_mode_says_what_it_would_do(tmp_path: Any) -> None:
    ctx = Recorded(tmp_path, check=True)
    ctx.answer = Outcome(0, b"disabled\n=\nLoadState=loaded\nActiveState=inactive\n")
    assert manage(SystemdArgs(name="nginx", state="started"), ctx).changed


def test_a_service_that_is_not_there_is_named(tmp_path: Any) -> None:
    ctx = Recorded(tmp_path)
    ctx.answer = Outcome(0, b"=\nLoadState=not-found\nActiveState=inactive\n")
    result = manage(SystemdArgs(name="ngnix", state="started"), ctx)
    assert result.msg == "Could not find the requested service ngnix: host"
    assert ctx.acts == []


def test_a_host_without_systemd_is_told_apart(ctx: LocalContext) -> None:
    ctx.env["PATH"] = "/nonexistent"
    with pytest.raises(ActionFailed, match="not run by systemd"):
        manage(SystemdArgs(name="nginx", state="started"), ctx)


def test_the_probe_quotes_the_name() -> None:
    assert "systemctl show -- 'a; b'\n" in probe_script("a; b", "system")
