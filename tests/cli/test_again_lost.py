"""Runs that go on after the end of a job was not seen: the connection was lost, or the job."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.sshd import SshServer, loopback

_REPOSITORY = Path(__file__).parents[2]
_DEADLINE = 60


@dataclass
class Desk:
    """A computer with nbops, and a folder in which its runs leave traces."""

    folder: Path
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    def play(self, text: str) -> None:
        """Write the runbook; `WORK` is the folder."""
        (self.folder / "play.yml").write_text(text.replace("WORK", str(self.folder)))

    def nbops(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.impatient", *arguments, "--plain"],
            cwd=self.folder,
            env=os.environ
            | {
                "HOME": str(self.folder),
                "XDG_STATE_HOME": str(self.folder),
                "PYTHONPATH": str(_REPOSITORY),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.begun.append(process)
        return process

    def lines(self, name: str) -> list[str]:
        """What stands in a file."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, name: str, *lines: str) -> None:
        """Until these are the lines of a file, in any order."""
        end = time.monotonic() + _DEADLINE
        while sorted(self.lines(name)) != sorted(lines):
            assert time.monotonic() < end, self.lines(name)
            time.sleep(0.02)

    def let_go(self, name: str) -> None:
        """Let the jobs that wait for this file go on."""
        (self.folder / name).touch()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=_DEADLINE)
    return process.returncode, out


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=_DEADLINE)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "inventory.yml").write_text(
        "all: {hosts: {a: , b: }, vars: {ansible_connection: local}}\n"
    )
    made = Desk(tmp_path)
    yield made
    for name in ("go", "more", "later"):
        made.let_go(name)
    for process in made.begun:
        killed(process)


@pytest.fixture
def server(desk: Desk, tmp_path: Path) -> Iterator[SshServer]:
    """Host `a` behind a real sshd; `b` stays this computer."""
    with SshServer(tmp_path / "sshd", addresses=loopback(1, net=3)) as running:
        desk.folder.joinpath("inventory.yml").write_text(
            "all:\n  hosts:\n    b: {ansible_connection: local}\n"
            f"    a: {{ansible_host: {running.addresses[0]}, ansible_port: {running.port},"
            f" ansible_user: {running.user},"
            f" ansible_ssh_private_key_file: {running.user_key},"
            f" ansible_ssh_common_args: '-o UserKnownHostsFile={running.known_hosts}'}}\n"
        )
        yield running


def lost_then_killed(desk: Desk, server: SshServer, *begun: str) -> None:
    """The connection to `a` is lost while its job runs; nbops is killed in the task after it,
    and the job ends well in the meantime."""
    process = desk.nbops("run", "play.yml")
    desk.wait_for("begun", *begun)
    server.stop()
    desk.wait_for("later", "b")
    killed(process)
    desk.let_go("go")
    server.start()


LATER = """
    - name: later
      shell: |
        echo {{ inventory_hostname }} >> WORK/later
        until [ -e WORK/more ]; do sleep 0.05; done
"""


@pytest.mark.sshd
def test_what_a_lost_connection_hid_is_found_done_and_not_done_again(
    desk: Desk, server: SshServer
) -> None:
    desk.play(
        """
- hosts: all
  gather_facts: false
  tasks:
    - name: pay
      shell: |
        echo {{ inventory_hostname }} >> WORK/begun
        until [ -e WORK/go ] || [ {{ inventory_hostname }} = b ]; do sleep 0.05; done
        echo {{ inventory_hostname }} >> WORK/paid
"""
        + LATER
    )
    lost_then_killed(desk, server, "a", "b")
    desk.wait_for("paid", "a", "b")
    desk.let_go("more")
    code, out = ended(desk.nbops("resume"))
    assert code == 0, out
    assert sorted(desk.lines("begun")) == sorted(desk.lines("paid")) == ["a", "b"]
    assert sorted(desk.lines("later")) == ["a", "b"]


def test_in_a_loop_only_the_items_that_failed_are_done_anew(desk: Desk) -> None:
    desk.play(
        """
- hosts: all
  gather_facts: false
  tasks:
    - name: items
      shell: |
        echo {{ item }} {{ inventory_hostname }} >> WORK/begun
        test {{ item }}{{ inventory_hostname }} != twoa || test -e WORK/mended
      loop: [one, two, three]
"""
        + LATER
    )
    process = desk.nbops("run", "play.yml")
    desk.wait_for("later", "b")
    killed(process)
    for name in ("mended", "more"):
        desk.let_go(name)
    code, out = ended(desk.nbops("resume"))
    assert code == 0, out
    once = [f"{item} {host}" for item in ("one", "two", "three") for host in "ab"]
    assert sorted(desk.lines("begun")) == sorted([*once, "two a"])


def test_what_failed_and_is_hidden_from_the_journal_is_done_anew_too(desk: Desk) -> None:
    desk.play(
        """
- hosts: all
  gather_facts: false
  tasks:
    - name: hidden
      shell: |
        echo {{ inventory_hostname }} >> WORK/begun
        test -e WORK/mended || test {{ inventory_hostname }} = b
      no_log: true
"""
        + LATER
    )
    process = desk.nbops("run", "play.yml")
    desk.wait_for("later", "b")
    killed(process)
    for name in ("mended", "more"):
        desk.let_go(name)
    code, out = ended(desk.nbops("resume"))
    assert code == 0, out
    assert sorted(desk.lines("begun")) == ["a", "a", "b"]
