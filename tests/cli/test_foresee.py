"""Hosts, tags and tasks that are not there are told before the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.cli import wire
from tests.cli.cli_told import Nbops

Write = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("local")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test when a host would be contacted."""

    def pool(*_: object, **__: object) -> None:
        pytest.fail("a host would have been contacted")

    monkeypatch.setattr(wire, "Pool", pool)


@pytest.mark.usefixtures("nobody")
def test_every_unknown_host_is_told_with_its_place(nbops: Nbops) -> None:
    Path("b.yml").write_text(
        "- hosts: her\n- hosts: [here, ther]\n- hosts: here:&hree\n- hosts: all[9]\n"
    )
    for also in ([], ["--list-hosts"], ["--check"]):
        told = nbops("run", "b.yml", *also)
        assert told.code == 2
        assert "b.yml:1:10: error: no host or group `her` in the inventory" in told.err
        assert "b.yml:2:10: error: no host or group `ther` in the inventory" in told.err
        assert "b.yml:3:10: error: no host or group `hree` in the inventory" in told.err
        assert "b.yml:4:10: error: host pattern `all[9]`" in told.err
        assert told.err.count("did you mean `here`?") == 2


@pytest.mark.usefixtures("nobody")
def test_an_unknown_host_in_the_limit_is_told_once(nbops: Nbops, runbook: Write) -> None:
    told = nbops("run", runbook("- ping:"), "--limit", "heree")
    assert told.code == 2
    assert told.err.count("error: --limit heree: no host or group `heree`") == 1


@pytest.mark.usefixtures("nobody")
def test_a_task_to_start_at_that_is_not_there_is_an_error(nbops: Nbops, runbook: Write) -> None:
    told = nbops("run", runbook("- name: Copy it\n  ping:"), "--start-at-task", "Copy")
    assert told.code == 2
    assert "did you mean `Copy it`?" in told.err


def test_a_tag_that_no_task_bears_is_a_warning(nbops: Nbops, runbook: Write) -> None:
    book = runbook("- debug: {msg: hi}\n  tags: [setup]")
    told = nbops("run", book, "--plain", "--tags", "setpu,setup", "--skip-tags", "al")
    assert told.code == 0
    text = told.out + told.err
    assert "--tags setpu: no task bears this tag" in text
    assert "did you mean `setup`?" in text
    assert "--skip-tags al: no task bears this tag" in text
    assert "--tags setup:" not in text


def test_what_the_inventory_says_in_vain_is_a_warning(nbops: Nbops, runbook: Write) -> None:
    Path("group_vars").mkdir()
    Path("group_vars/al.yml").write_text("x: 1\n")
    told = nbops("run", runbook("- debug: {msg: hi}"), "--plain")
    assert told.code == 0
    assert "did you mean `all`?" in told.out + told.err
