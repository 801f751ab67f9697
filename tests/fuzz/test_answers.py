"""What hosts answer is spoilt: no traceback, no hang, little memory, an end that a user knows.

`make fuzz` runs the series; what it found last is in docs/fuzzing.md.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.deploy.cluster import new_cluster
from tests.fuzz.answers import Tally, at_home, attempt
from tests.sshd import SshServer, loopback

SECONDS = float(os.environ.get("NBOPS_FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("NBOPS_FUZZ_SEED", str(time.time_ns())))
PLAY = """\
- hosts: all
  ignore_errors: true
  tasks:
    - {name: a, command: echo 1, register: said}
    - name: b
      shell: "echo {{ said.stdout | default('') | quote }}"
      changed_when: said is changed
    - {name: c, stat: {path: /etc/passwd}}
    - {name: d, file: {path: "{{ work }}/d", state: directory, mode: "0750"}}
    - {name: e, copy: {dest: "{{ work }}/e", content: "{{ said }}", backup: true}}
    - {name: f, template: {dest: "{{ work }}/f", src: f.j2}}
    - {name: g, lineinfile: {path: "{{ work }}/e", line: more, create: true}}
    - {name: h, wait_for: {path: "{{ work }}/e", timeout: 1}}
    - {name: i, script: i.sh}
    - {name: j, file: {path: "{{ work }}/d", state: absent}}
    - {name: k, setup: }
    - {name: l, fetch: {src: "{{ work }}/e", dest: "{{ work }}/fetched"}}
    - {name: m, slurp: {src: "{{ work }}/e"}}
    - {name: n, uri: {url: "http://127.0.0.1:1/"}}
    - {name: o, get_url: {url: "http://127.0.0.1:1/", dest: "{{ work }}/o"}}
"""
READS = (
    ("check",),
    ("status",),
    ("deploy", "--check", "--diff"),
    ("upgrade", "--version", "2.2.16", "--check"),
    ("deploy",),
    ("backup", "-i"),
    ("releases", "-i"),
    ("backups", "-i"),
    ("lock", "show", "-i"),
)


@pytest.fixture
def loopbacks(tmp_path: Path) -> Iterator[Sequence[str]]:
    """How the runbook of all actions is run, on two hosts that are this computer."""
    with SshServer(tmp_path / "sshd", addresses=loopback(2, net=9)) as server:
        (tmp_path / "ssh_config").touch()
        inventory = "all:\n  hosts:\n"
        for number, address in enumerate(server.addresses):
            work = tmp_path / f"work{number}"
            work.mkdir()
            inventory += f"    h{number}: {{ansible_host: {address}, work: {work}}}\n"
        inventory += (
            f"  vars:\n    ansible_port: {server.port}\n    ansible_user: {server.user}\n"
            f"    ansible_ssh_private_key_file: {server.user_key}\n"
            f"    ansible_ssh_common_args: -F {tmp_path / 'ssh_config'}"
            f" -o UserKnownHostsFile={server.known_hosts}\n"
        )
        (tmp_path / "inventory.yml").write_text(inventory)
        (tmp_path / "play.yml").write_text(PLAY)
        (tmp_path / "f.j2").write_text("{{ said.stdout | default('') }}\n")
        (tmp_path / "i.sh").write_text("#!/bin/sh\necho done\n")
        yield ("run", str(tmp_path / "play.yml"), "-i", str(tmp_path / "inventory.yml"))


@pytest.mark.sshd
@pytest.mark.parametrize("seed", range(6))
def test_a_few_spoilt_answers_end_no_run_with_a_traceback(
    loopbacks: Sequence[str], tmp_path: Path, seed: int
) -> None:
    tally = Tally()
    with at_home(tmp_path / "home"):
        attempt(loopbacks, 0, 0.0, tally)
        attempt(loopbacks, seed, 0.3, tally)
    assert tally.ends[0]
    assert tally.spoilt


@pytest.mark.sshd
@pytest.mark.series
def test_every_action_bears_spoilt_answers(
    loopbacks: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed, until = SEED, time.monotonic() + SECONDS / 2
    with at_home(tmp_path / "home"):
        tally = undisturbed([loopbacks])
        while time.monotonic() < until:
            attempt(loopbacks, seed, 0.3, tally)
            seed += 1
    with capsys.disabled():
        print(f"\nevery action: {tally}, from seed {SEED}")  # noqa: T201


@pytest.mark.lab
@pytest.mark.series
def test_commands_of_a_cluster_bear_spoilt_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = new_cluster(tmp_path)
    try:
        cluster.up(app="sample", nodes=2)
        done = cluster.deploy()
        assert done.returncode == 0, done.stdout + done.stderr
        seed, until = SEED, time.monotonic() + SECONDS / 2
        with at_home(cluster.home):
            tally = undisturbed([(*command, str(cluster.inventory)) for command in READS])
            while time.monotonic() < until:
                command = random.Random(seed).choice(READS)  # noqa: S311
                attempt((*command, str(cluster.inventory)), seed, 0.05, tally)
                seed += 1
    finally:
        cluster.down()
    with capsys.disabled():
        print(f"\ncommands of a cluster: {tally}, from seed {SEED}")  # noqa: T201


def undisturbed(commands: Sequence[Sequence[str]]) -> Tally:
    """Each of them once with nothing spoilt: it works at all."""
    for command in commands:
        tally = Tally()
        attempt(command, 0, 0.0, tally)
        assert tally.ends == {0: 1}, command
    return Tally()
