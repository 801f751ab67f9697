"""`nbops check` refuses a wrong inventory before anything is contacted."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.cli_told import Nbops


def write(text: str) -> Path:
    path = Path("inventory.yml")
    path.write_text(text)
    return path


def test_an_inventory_without_a_cluster_is_refused(nbops: Nbops) -> None:
    told = nbops("check", write("all:\n  hosts:\n    a: {ansible_host: 127.0.0.1}\n"))
    assert told.code == 2
    assert "no `nocobase:` settings, so there is no cluster to check" in told.err
    assert "nbops init" in told.err


def test_wrong_settings_are_told_all_at_once_with_their_places(nbops: Nbops) -> None:
    text = (
        "all:\n  vars:\n    nocobase: {cluster: x, versio: 1}\n"
        "  children:\n    app: {hosts: {a: }}\n"
    )
    told = nbops("check", write(text))
    assert told.code == 2
    assert "inventory.yml:3:28: error: unknown key `versio` under `nocobase:`" in told.err
    assert "`database` is missing" in told.err


def test_an_error_is_one_object_with_json(nbops: Nbops) -> None:
    told = nbops("check", "--json", "-i", "gone.yml")
    assert told.code == 2
    assert json.loads(told.out)["exit_code"] == 2


def test_a_package_that_is_not_there_is_told_at_its_line(nbops: Nbops, tmp_path: Path) -> None:
    for name, value in {"app": "x" * 40, "aes": "ab" * 32}.items():
        Path(name).write_text(value)
        Path(name).chmod(0o600)
    text = """\
all:
  vars:
    nocobase:
      cluster: x
      version: 2.2.15
      database: {host: db.example, password: {file: app}}
      balancer: {kind: nginx}
      secrets: {app_key: {file: app}, aes_key: {file: aes}}
      plugins:
        local:
          - gone.tgz
  children:
    app: {hosts: {a: {ansible_host: 127.98.0.1}}}
    balancer: {hosts: {a: }}
"""
    told = nbops("check", write(text))
    assert told.code == 2, told.out + told.err
    assert "inventory.yml:11:13: error: gone.tgz: no such file" in told.err
