"""What is installed on a bare host, decided from what it says of itself."""

from __future__ import annotations

import subprocess

import pytest

from nbops.nocobase.bootstrap import LOOK, Look, packages, read_candidates, read_look

TRIXIE = {"docker.io": 26, "docker-cli": 26, "docker-compose": 2, "nodejs": 20, "npm": 9, "curl": 8}
BOOKWORM = {"docker.io": 20, "docker-compose": 1, "nodejs": 18, "npm": 9, "curl": 7}
NOBLE = {"docker.io": 24, "docker-compose-v2": 2, "docker-compose": 1, "nodejs": 18, "curl": 8}
JAMMY = {"docker.io": 24, "docker-compose-v2": 2, "nodejs": 12, "curl": 7}


def bare(*has: str, **versions: int) -> Look:
    return Look(frozenset({"debian"}), "Debian", frozenset(has), versions)


def test_a_bare_host_lacks_everything() -> None:
    assert bare().lacks("compose", npm=False) == ("curl", "docker", "compose")
    assert bare().lacks("pm2", npm=True) == ("curl", "node", "npm")


def test_nothing_is_missing_where_all_is_there() -> None:
    assert bare("curl", "docker", docker=26, compose=2).lacks("compose", npm=True) == ()
    assert bare("curl", "node", node=20).lacks("pm2", npm=False) == ()


def test_an_engine_that_does_not_answer_is_none() -> None:
    assert bare("curl", "docker", compose=2).lacks("compose", npm=False) == ("docker",)


def test_an_old_node_or_compose_counts_as_missing() -> None:
    assert bare("curl", "node", node=16).lacks("pm2", npm=False) == ("node",)
    assert bare("curl", docker=20, compose=1).lacks("compose", npm=False) == ("compose",)


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (TRIXIE, ["docker.io", "docker-cli", "docker-compose"]),
        (NOBLE, ["docker.io", "docker-compose-v2"]),
    ],
)
def test_compose_comes_from_the_package_that_has_version_two(
    there: dict[str, int], chosen: list[str]
) -> None:
    assert packages(["docker", "compose"], there) == (chosen, [])


def test_a_system_without_compose_two_says_where_it_is() -> None:
    _, unknown = packages(["docker", "compose"], BOOKWORM)
    assert "Docker Compose 2" in unknown[0]
    assert "docs.docker.com" in unknown[0]


def test_a_system_with_an_old_node_says_so() -> None:
    _, unknown = packages(["node"], JAMMY)
    assert "has 12" in unknown[0]


def test_npm_is_installed_only_where_it_is_a_package_of_its_own() -> None:
    assert packages(["node", "npm"], TRIXIE) == (["nodejs", "npm"], [])
    assert packages(["node", "npm"], {"nodejs": 22}) == (["nodejs"], [])


def test_the_answer_of_apt_is_read() -> None:
    told = """\
docker.io:
  Installed: (none)
  Candidate: 26.1.5+dfsg1-9+b9
  Version table:
     26.1.5+dfsg1-9+b9 500
docker-compose-v2:
  Installed: (none)
  Candidate: (none)
npm:
  Installed: (none)
  Candidate: 9.2.0~ds1-3
git:
  Candidate: 1:2.47.3-0+deb13u1
"""
    assert read_candidates(told) == {"docker.io": 26, "npm": 9, "git": 2}


def test_the_look_runs_in_a_plain_shell() -> None:
    done = subprocess.run(
        ["/bin/dash", "-eu", "-c", LOOK], capture_output=True, text=True, check=True, timeout=30
    )
    assert read_look(done.stdout).name


def test_other_systems_are_known_as_such() -> None:
    look = read_look("system\tfedora \nname\tFedora Linux 42\nhas\tcurl\n")
    assert not look.known
    assert look.name == "Fedora Linux 42"
    assert read_look("system\tlinuxmint ubuntu\nhas\tapt-get\n").known
