from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbops.base.secret import Secret
from nbops.nocobase.plans import here
from nbops.nocobase.runtimes.api import ImageState, NodePlan, NodeState, Pull, Start
from nbops.nocobase.runtimes.compose import Compose, compose_file, registry, repository

Variables = Callable[..., Mapping[str, Any]]
COMPOSE = Compose()


@pytest.fixture
def plan(variables: Variables) -> NodePlan:
    return here(variables()).plan


def service(plan: NodePlan) -> dict[str, Any]:
    document = yaml.safe_load(compose_file(plan))
    return dict(document["services"]["app"])


def test_a_container_never_starts_by_itself_before_nbops_says_so(plan: NodePlan) -> None:
    assert service(plan)["restart"] == "no"


def test_a_start_can_bring_no_other_image(plan: NodePlan) -> None:
    assert service(plan)["pull_policy"] == "never"


def test_the_files_are_for_root_only(plan: NodePlan) -> None:
    assert {file.mode for file in COMPOSE.files(plan)} == {0o600}


def test_the_compose_file_holds_no_secret(plan: NodePlan) -> None:
    text = compose_file(plan)
    assert "db-pa" not in text
    assert "app-key-of-demo" not in text


def test_a_dollar_in_a_path_is_no_variable(plan: NodePlan) -> None:
    odd = replace(plan, storage="/srv/a$b")
    assert service(odd)["volumes"][0]["source"] == "/srv/a$$b"


def test_only_the_first_start_may_install(plan: NodePlan) -> None:
    normal, first = plan.environment.reveal(), plan.first_environment.reveal()
    assert "SKIP_SAME_VERSION_UPGRADE=true" in normal
    assert "SKIP_SAME_VERSION_UPGRADE" not in first


def test_the_first_start_is_one_process(variables: Variables) -> None:
    runtime = {"kind": "compose", "dir": "/opt/x", "port": 13000, "cluster_mode": 4}
    plan = here(variables(runtime=runtime)).plan
    assert plan.several
    assert "CLUSTER_MODE=4" in plan.environment.reveal()
    assert "CLUSTER_MODE" not in plan.first_environment.reveal()


@pytest.mark.parametrize("start", list(Start))
def test_a_start_chooses_its_environment(plan: NodePlan, start: Start) -> None:
    assert f"NBOPS_START={start.value} docker compose up" in COMPOSE.start_script(plan, start)
    assert service(plan)["env_file"] == ["${NBOPS_START:-node}.env"]


def test_another_environment_is_another_configuration(plan: NodePlan) -> None:
    other = replace(plan, environment=Secret(plan.environment.reveal() + "A=1\n"))
    assert COMPOSE.configuration(plan) == COMPOSE.configuration(replace(plan))
    assert COMPOSE.configuration(plan) != COMPOSE.configuration(other)


def test_another_port_is_another_configuration(plan: NodePlan) -> None:
    assert COMPOSE.configuration(plan) != COMPOSE.configuration(replace(plan, port=13001))


def test_a_stopped_node_is_kept_down_before_it_is_stopped(plan: NodePlan) -> None:
    script = COMPOSE.stop_script(plan, 60)
    assert script.index("--restart no") < script.index("docker stop")


def test_no_container_is_an_empty_answer() -> None:
    assert COMPOSE.read_state("") == NodeState()


def test_the_state_of_a_container_is_read() -> None:
    line = "running\t0\t2\tfirst\tabc\tsha256:1\t2026-11-23T09:00:00Z\tunless-stopped\tfalse\t\n"
    assert COMPOSE.read_state(line) == NodeState(
        True, True, 0, 2, Start.FIRST, "abc", "sha256:1", "2026-11-23T09:00:00Z", True, ""
    )


def test_a_container_that_lacked_memory_says_so() -> None:
    state = COMPOSE.read_state("exited\t137\t0\tnode\tabc\tsha256:1\t-\tno\ttrue\t\n")
    assert not state.running
    assert not state.comes_back
    assert state.trouble == "out of memory"


def test_an_image_is_named_by_its_registrys_digest() -> None:
    image = COMPOSE.read_image("sha256:aa reg:5000/nocobase@sha256:bb\n")
    assert image.there
    assert image.digest == "sha256:bb"
    assert image.is_digest("sha256:aa")
    assert not image.is_digest("sha256:cc")


def test_an_image_of_no_registry_is_named_by_its_id() -> None:
    assert COMPOSE.read_image("sha256:aa\n").digest == "sha256:aa"
    assert COMPOSE.read_image("") == ImageState()


def test_a_recorded_image_is_pulled_by_its_digest(plan: NodePlan) -> None:
    script = COMPOSE.pull_script(replace(plan, image="reg:5000/a/b:1.0"), Pull("sha256:bb"))
    assert "docker pull reg:5000/a/b@sha256:bb" in script
    assert "docker tag reg:5000/a/b@sha256:bb reg:5000/a/b:1.0" in script


def test_a_login_leaves_no_password_behind(plan: NodePlan) -> None:
    there = replace(plan, image="reg:5000/a/b:1.0")
    script = COMPOSE.pull_script(there, Pull(user="ann o'"))
    assert "--password-stdin reg:5000" in script
    assert "--username 'ann o'\"'\"''" in script


DOCKER = """\
#!/bin/sh
case $1 in
    login) cat > "$DOCKER_CONFIG/config.json" ;;
    pull) echo pulling; exec sleep 30 ;;
esac
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_pull_that_is_killed_leaves_no_password(
    plan: NodePlan, tmp_path: Path, number: signal.Signals
) -> None:
    aside, docker = tmp_path / "run" / "staged.login", tmp_path / "docker"
    aside.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    with subprocess.Popen(
        ["/bin/sh", "-c", COMPOSE.pull_script(plan, Pull(user="ann", aside=str(aside)))],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"secret")
        process.stdin.close()
        assert process.stdout.readline() == b"pulling\n"
        assert stat.S_IMODE(aside.stat().st_mode) == 0o700
        assert (aside / "config.json").read_text() == "secret"
        os.killpg(process.pid, number)
        assert process.wait(timeout=10)
    assert not list(aside.parent.iterdir())
    assert set(tmp_path.iterdir()) == {aside.parent, docker}


@pytest.mark.parametrize(
    ("image", "name", "server"),
    [
        ("nocobase/nocobase:2.2.15", "nocobase/nocobase", ""),
        ("reg:5000/nocobase:1", "reg:5000/nocobase", "reg:5000"),
        ("reg.example/a/b", "reg.example/a/b", "reg.example"),
        ("alone", "alone", ""),
    ],
)
def test_the_parts_of_an_images_name(image: str, name: str, server: str) -> None:
    assert repository(image) == name
    assert registry(image) == server
