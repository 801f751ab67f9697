"""A run that was paused and lost its lock commands the user's own balancer no more.

The lock is a real one; /var/lib is a folder of the test's own for as long as the run lasts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs a /var/lib of its own: root")

INVENTORY = """
all:
  vars:
    ansible_connection: local
    nocobase:
      cluster: demo
      version: 2.2.15
      image: registry.invalid/nocobase
      database: {kind: postgres, managed: true, name: n, user: n, password: {file: secret}}
      redis: {managed: true, password: {file: secret}}
      storage: {kind: object, acknowledge: true}
      secrets: {app_key: {file: secret}, aes_key: {file: secret}}
      balancer:
        kind: external
        address: "http://127.0.0.1:9"
        commands: {maintenance: "true", traffic: "touch let-in"}
  children:
    app: {hosts: {node1: }}
    database: {hosts: {node1: }}
    redis: {hosts: {node1: }}
"""
PLAY = """
- hosts: app
  gather_facts: false
  tasks:
    - name: a colleague breaks the lock while this run sleeps
      shell: sed -i '1s/.*/9/' /var/lib/nbops/demo/lock
      when: BROKEN
    - name: visitors come back
      balancer_maintenance: {state: off, anyway: true}
      delegate_to: localhost
      become: false
"""


@pytest.mark.parametrize(("broken", "said"), [(True, "a newer run holds node1"), (False, "")])
def test_the_users_own_balancer_is_fenced_like_a_host(
    tmp_path: Path, broken: bool, said: str
) -> None:
    (tmp_path / "inventory.yml").write_text(INVENTORY)
    (tmp_path / "secret").write_text("ab" * 32)
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "play.yml").write_text(PLAY.replace("BROKEN", str(broken).lower()))
    command = f"{sys.executable} -m nbops run play.yml --plain"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f"mount -t tmpfs none /var/lib; exec {command}"],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said in done.stdout + done.stderr
    assert (tmp_path / "let-in").exists() is not broken
