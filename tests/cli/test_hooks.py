"""What stands in the user's `runbooks/`: hooks around a runbook, variables, parts of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.cli import runbooks, wire
from tests.cli.cli_told import Nbops

Write = Callable[..., Path]

INVENTORY = Path("inventory.yml")


@pytest.fixture(autouse=True)
def _site(local: Path, runbook: Write) -> None:
    runbook("- name: Site\n  debug: {msg: site}", "runbooks/site.yml")


def told_in_order(nbops: Nbops, *words: str) -> bool:
    told = nbops("run", "site", "--plain", "--limit", "here")
    assert told.code == 0, told.out + told.err
    places = [told.out.index(f"      {word}\n") for word in words]
    return places == sorted(places)


def test_hooks_are_played_before_and_after(nbops: Nbops, runbook: Write) -> None:
    runbook("- debug: {msg: first}", "runbooks/hooks/before-site.yml")
    runbook("- debug: {msg: last}", "runbooks/hooks/after-site.yaml")
    assert told_in_order(nbops, "first", "site", "last")


def test_hooks_belong_to_runbooks_that_are_called_by_name(nbops: Nbops, runbook: Write) -> None:
    runbook("- debug: {msg: first}", "runbooks/hooks/before-site.yml")
    runbook("- debug: {msg: site}", "elsewhere/site.yml")
    assert "first" not in nbops("run", "elsewhere/site.yml", "--plain").out


def test_a_hook_may_use_files_of_its_folder_and_of_the_runbooks(
    nbops: Nbops, runbook: Write
) -> None:
    Path("runbooks/hooks/files").mkdir(parents=True)
    Path("runbooks/hooks/files/note").write_text("note")
    Path("runbooks/common.yml").write_text("- debug: {msg: common}\n")
    Path("runbooks/group_vars").mkdir()
    Path("runbooks/group_vars/all.yml").write_text("part: common\n")
    runbook(
        "- copy: {src: note, dest: '{{ playbook_dir }}/../copied'}\n"
        "- include_tasks: common.yml\n- include_tasks: '{{ part }}.yml'",
        "runbooks/hooks/before-site.yml",
    )
    assert told_in_order(nbops, "common", "site")
    assert Path("copied").read_text() == "note"


@pytest.mark.parametrize("name", ["befor-site", "before-sites", "after-nothing"])
def test_a_hook_of_no_runbook_is_an_error(name: str, nbops: Nbops, runbook: Write) -> None:
    runbook("- ping:", f"runbooks/hooks/{name}.yml")
    told = nbops("run", "site")
    assert told.code == 2
    assert f"runbooks/hooks/{name}.yml:1:1: error: `{name}` is the hook of no runbook" in told.err


def test_faults_of_hooks_are_told_with_the_others(nbops: Nbops, runbook: Write) -> None:
    runbook("- pong:", "runbooks/hooks/before-site.yml")
    runbook("- comand: ls", "runbooks/site.yml")
    told = nbops("run", "site")
    assert told.code == 2
    assert "runbooks/hooks/before-site.yml:4:7: error:" in told.err
    assert "runbooks/site.yml:4:7: error:" in told.err


def test_parts_of_ours_are_replaced_by_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runbook: Write
) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "verify.yml").write_text("- debug: {msg: ours}\n")
    (ours / "up.yml").write_text("- hosts: all\n  tasks:\n    - import_tasks: verify.yml\n")
    monkeypatch.setattr(runbooks, "shipped", lambda: ours)
    Path("runbooks/verify.yml").write_text("- debug: {msg: mine}\n")
    book = runbooks.load(ours / "up.yml", INVENTORY, wire.catalog())
    assert Path("runbooks/verify.yml") in book.files
    assert ours / "verify.yml" not in book.files


def test_lint_looks_at_hooks_and_files_of_tasks_too(nbops: Nbops, runbook: Write) -> None:
    runbook("- name: H\n  command: ls", "runbooks/hooks/before-site.yml")
    Path("runbooks/tasks").mkdir()
    Path("runbooks/tasks/part.yml").write_text("- name: P\n  command: ls\n")
    told = nbops("lint")
    assert (told.code, told.err) == (1, "")
    assert "runbooks/hooks/before-site.yml:4:7:" in told.out
    assert "runbooks/tasks/part.yml:1:3:" in told.out
