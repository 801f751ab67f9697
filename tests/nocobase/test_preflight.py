from __future__ import annotations

import subprocess

import pytest

from nbops.nocobase.preflight import Needs, Port, Space, findings, look_script, read_look

NEEDS = Needs(
    programs={"docker": "`apt-get install docker.io`"},
    space=(Space("/var/lib/docker", 3072),),
    ports=(Port(13000, ("docker-proxy",)),),
    storage="/srv/storage",
    docker=True,
)


def found(*seen: tuple[str, str]) -> list[str]:
    return [str(one) for one in findings(NEEDS, seen)]


def test_a_host_that_is_ready_gives_no_finding() -> None:
    assert not found(
        ("uid", "0"),
        ("space", "/var/lib/docker:50000"),
        ("port", "13000:docker-proxy "),
        ("docker", "26.1.5"),
        ("compose", "2.26.1"),
    )


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (("uid", "1000"), "ansible_become"),
        (("missing", "docker"), "`docker` is not installed: `apt-get install docker.io`"),
        (("space", "/var/lib/docker:100"), "only 100 MiB are free for /var/lib/docker"),
        (("port", "13000:node "), "port 13000 is taken by `node`"),
        (("storage", "absent"), "/srv/storage is not there"),
        (("docker", ""), "Docker does not run"),
        (("compose", ""), "Docker Compose is not there"),
        (("compose", "1.29.2"), "Docker Compose is 1.29.2"),
    ],
)
def test_each_obstacle_is_named_with_what_to_do(seen: tuple[str, str], words: str) -> None:
    (finding,) = found(seen)
    assert words in finding


def test_all_findings_are_told_at_once() -> None:
    assert len(found(("uid", "7"), ("docker", ""), ("compose", ""))) == 3


def test_the_script_runs_in_a_plain_shell() -> None:
    needs = Needs(
        programs={"no-such-program": "get it", "sh": "-"},
        space=(Space("/no/such/folder yet", 1),),
        ports=(Port(1, ()),),
        storage="/no/such/storage",
    )
    done = subprocess.run(
        ["dash", "-c", look_script(needs)], capture_output=True, text=True, check=False
    )
    seen = read_look(done.stdout)
    assert done.stderr == ""
    assert ("missing", "no-such-program") in seen
    assert ("missing", "sh") not in seen
    assert ("storage", "absent") in seen
    assert dict(seen)["space"].rpartition(":")[2].isdigit()
