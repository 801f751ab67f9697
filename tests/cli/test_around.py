"""What can be said of status, logs, releases and plugin without machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.cli_told import Nbops

HOSTS = "{hosts: {one: {ansible_host: 127.0.0.1, ansible_port: 1}}}"
CLUSTER = f"""\
all:
  vars:
    nocobase:
      cluster: demo
      version: 2.2.15
      database: {{host: 127.0.0.1, password: {{env: SECRET}}}}
      balancer: {{kind: nginx}}
      storage: {{kind: shared, path: /srv/storage}}
      secrets: {{app_key: {{env: SECRET}}, aes_key: {{env: AES}}}}
  children:
    app: {HOSTS}
    balancer: {HOSTS}
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory of one host, where nothing listens."""
    monkeypatch.setenv("SECRET", "a-secret-of-many-letters")
    monkeypatch.setenv("AES", "ab" * 32)
    path = Path("inventory.yml")
    path.write_text(CLUSTER)
    return path


@pytest.mark.parametrize("command", ["status", "releases", "backups", "logs"])
def test_without_a_cluster_there_is_nothing_to_look_at(
    nbops: Nbops, local: Path, command: str
) -> None:
    told = nbops(command, "-i", local)
    assert told.code == 2
    assert "no `nocobase:` settings" in told.err
    assert "nbops init" in told.err


@pytest.mark.parametrize("command", ["status", "releases", "backups", "logs"])
def test_a_cluster_out_of_reach_ends_with_4(nbops: Nbops, cluster: Path, command: str) -> None:
    told = nbops(command, "-i", cluster)
    assert told.code == 4
    assert "one" in told.err + told.out


def test_status_names_every_host_that_is_out_of_reach(nbops: Nbops, cluster: Path) -> None:
    told = nbops("status", cluster)
    assert "! one cannot be used" in told.out
    document = nbops("status", "--json", cluster)
    assert isinstance(json.loads(document.out), dict)
    assert document.code == 4
    assert '"good": false' in document.out


def test_watching_is_for_a_terminal(nbops: Nbops, cluster: Path) -> None:
    told = nbops("status", "--watch", cluster)
    assert told.code == 2
    assert "status --json" in told.err


def test_a_host_that_is_no_node_has_no_log(nbops: Nbops, cluster: Path) -> None:
    told = nbops("logs", "-i", cluster, "two")
    assert told.code == 2


@pytest.mark.parametrize("verb", ["enable", "disable"])
def test_a_plugin_must_be_named(nbops: Nbops, verb: str) -> None:
    assert nbops("plugin", verb).code == 2


@pytest.mark.parametrize("words", [("status",), ("logs",), ("releases",), ("plugin", "enable")])
def test_the_help_has_examples(nbops: Nbops, words: tuple[str, ...]) -> None:
    told = nbops(*words, "--help")
    assert told.code == 0
    assert "Examples:" in told.out
