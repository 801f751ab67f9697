"""What the runtime `pm2` writes and runs, and how it reads what a host answers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbops.base.secret import Secret
from nbops.nocobase.plans import here
from nbops.nocobase.runtimes.api import NodePlan, NodeState, Pull, Start, names_of
from nbops.nocobase.runtimes.pm2 import Pm2
from nbops.nocobase.runtimes.pm2_unit import LAUNCH

Variables = Callable[..., Mapping[str, Any]]
PM2 = Pm2()
RUNTIME = {"kind": "pm2", "dir": "/opt/nocobase", "port": 13000}


@pytest.fixture
def plan(variables: Variables) -> NodePlan:
    return here(variables(runtime=RUNTIME)).plan


def text_of(plan: NodePlan, name: str) -> str:
    file = next(file for file in PM2.files(plan) if file.path.endswith(f"/{name}"))
    return file.content.reveal() if isinstance(file.content, Secret) else file.content


def test_the_app_has_a_user_of_its_own(plan: NodePlan) -> None:
    assert "User=nocobase\n" in text_of(plan, "app.service")


def test_environments_are_for_root_only(plan: NodePlan) -> None:
    modes = {file.path: file.mode for file in PM2.files(plan) if file.path.endswith(".env")}
    assert set(modes.values()) == {0o600}
    assert len(modes) == 2


def test_no_secret_stands_in_the_unit(plan: NodePlan) -> None:
    assert "db-pa" not in text_of(plan, "app.service")
    assert "app-key-of-demo" not in text_of(plan, "app.service")


def test_socket_and_home_of_pm2_are_not_in_storage(plan: NodePlan) -> None:
    unit = text_of(plan, "app.service")
    for name in ("SOCKET_PATH", "PM2_HOME"):
        value = re.search(rf"^Environment={name}=(.*)$", unit, re.MULTILINE)
        assert value
        assert value[1].startswith("/run/nocobase-")
        assert not value[1].startswith(plan.storage)


def test_apps_of_one_host_share_nothing_but_the_apps_folder(variables: Variables) -> None:
    one, two = here(variables(runtime=RUNTIME | {"instances": 2})).plans
    first, second = text_of(one, "app.service"), text_of(two, "app.service")
    assert "PM2_HOME=/run/nocobase-demo/pm2" in first
    assert "PM2_HOME=/run/nocobase-demo.2/pm2" in second
    assert "EnvironmentFile=/opt/nocobase/2/active.env" in second
    assert "APP_PORT=13001" in two.environment.reveal()
    assert PM2.image_script(one) == PM2.image_script(two)


def test_an_app_never_starts_by_itself_before_nbops_says_so(plan: NodePlan) -> None:
    assert "Restart=no\n" in text_of(plan, "app.service")
    start = PM2.start_script(plan, Start.NODE)
    assert "systemctl disable" in start
    assert "enable " not in start.replace("disable ", "")


def test_a_start_takes_its_own_copy_of_the_environment(plan: NodePlan) -> None:
    assert "install -m 600 first.env active.env.nbops-new" in PM2.start_script(plan, Start.FIRST)
    assert "EnvironmentFile=/opt/nocobase/active.env" in text_of(plan, "app.service")


def test_a_stopped_app_is_kept_down_before_it_is_stopped(plan: NodePlan) -> None:
    script = PM2.stop_script(plan, 7)
    assert script.index("rm -f") < script.index("systemctl stop")
    assert script.index("systemctl disable") < script.index("systemctl stop")
    assert "TimeoutStopSec=7" in script


def test_a_version_is_the_folder_and_the_name_of_the_package(variables: Variables) -> None:
    package = {"source": "apps/nocobase-{version}.tar.gz", "sha256": {"2.2.15": "ab" * 32}}
    plan = here(variables(runtime=RUNTIME | {"package": package})).plan
    assert plan.image == "create-nocobase-app@2.2.15"
    assert plan.upload == "apps/nocobase-2.2.15.tar.gz"
    assert plan.sha256 == "ab" * 32
    assert "readlink -e /opt/nocobase/apps/2.2.15" in PM2.start_script(plan, Start.NODE)


def test_an_address_is_fetched_by_the_host(plan: NodePlan) -> None:
    there = replace(plan, package="https://files.example/nocobase-2.2.15.tar.gz")
    assert there.upload == ""
    assert "curl --fail" in PM2.pull_script(there, Pull())


def test_another_version_is_another_configuration(plan: NodePlan) -> None:
    other = replace(plan, image="create-nocobase-app@2.2.16")
    assert PM2.configuration(plan) == PM2.configuration(replace(plan))
    assert PM2.configuration(plan) != PM2.configuration(other)


def test_an_app_that_was_never_started_is_an_empty_answer() -> None:
    assert PM2.read_state("") == NodeState()


def answer(**fields: str) -> str:
    usual = {
        "ActiveState": "active",
        "SubState": "running",
        "ExecMainCode": "0",
        "ExecMainStatus": "0",
        "NRestarts": "0",
        "ExecMainStartTimestamp": "Mon 2026-11-23 09:00:00 UTC",
        "UnitFileState": "enabled",
        "Result": "success",
        "X-Start": "first",
        "X-Image": "app:1",
        "X-Configuration": "abc",
    }
    return "".join(f"{key}={value}\n" for key, value in (usual | fields).items())


def test_the_state_of_a_unit_is_read() -> None:
    assert PM2.read_state(answer()) == NodeState(
        True, True, 0, 0, Start.FIRST, "abc", "app:1", "Mon 2026-11-23 09:00:00 UTC", True, ""
    )


def test_an_app_between_two_starts_does_not_run() -> None:
    state = PM2.read_state(
        answer(ActiveState="activating", SubState="auto-restart", NRestarts="4", ExecMainStatus="2")
    )
    assert not state.running
    assert (state.restarts, state.exit_code) == (4, 2)


def test_a_killed_app_says_so_as_a_container_does() -> None:
    state = PM2.read_state(
        answer(ActiveState="failed", ExecMainCode="2", ExecMainStatus="9", Result="oom-kill")
    )
    assert state.exit_code == 137
    assert state.trouble == "out of memory"


def test_only_apps_of_the_cluster_are_ours(plan: NodePlan) -> None:
    told = "nocobase-demo nocobase-demo.2 nocobase-demo-2 nocobase-other nocobase-demo.x\n"
    assert names_of(plan, told) == ["nocobase-demo", "nocobase-demo.2"]


class TestLaunch:
    """The launcher, run as systemd runs it, with something in the app's place."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "node_modules" / ".bin").mkdir(parents=True)
        launch = tmp_path / "launch"
        launch.write_text(LAUNCH)
        launch.chmod(0o755)
        return tmp_path

    def start(self, folder: Path, app: str) -> subprocess.Popen[str]:
        (folder / "node_modules" / ".bin" / "node").write_text(f"#!/bin/sh\n{app}\n")
        (folder / "node_modules" / ".bin" / "node").chmod(0o755)
        process = subprocess.Popen(
            [folder / "launch"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PM2_HOME": str(folder)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        return process

    def stop(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=10)
        return process.returncode, said

    def test_a_stop_reaches_pm2_and_waits_for_it(self, folder: Path) -> None:
        # As in the app: a command that ends at once on a signal, and below it pm2.
        pm2 = (
            "trap 'echo closing; sleep 0.2; echo closed; exit 0' TERM; while :; do sleep 0.05; done"
        )
        app = f"({pm2}) & echo $! > $PM2_HOME/pm2.pid; echo up; wait $!; wait $!"
        assert self.stop(self.start(folder, app)) == (0, "closing\nclosed\n")

    def test_before_there_is_a_pm2_the_app_itself_is_stopped(self, folder: Path) -> None:
        app = "trap 'echo closed; exit 0' TERM; echo up; while :; do sleep 0.05; done"
        assert self.stop(self.start(folder, app)) == (0, "closed\n")

    def test_an_app_that_ends_by_itself_tells_its_status(self, folder: Path) -> None:
        process = self.start(folder, "echo up; exit 3")
        assert process.wait(timeout=10) == 3
