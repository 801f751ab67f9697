"""`lint` and `schema`: they read, and contact nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.cli_told import Nbops

Write = Callable[..., Path]

GOOD = "- name: Look\n  command: uptime\n  changed_when: false"
BITES = "- name: Look\n  command: uptime"


def test_a_good_runbook_has_no_findings(nbops: Nbops, runbook: Write) -> None:
    told = nbops("lint", runbook(GOOD))
    assert (told.code, told.out) == (0, "nothing found in 1 file\n")


def test_a_finding_is_told_with_its_place_and_ends_with_1(nbops: Nbops, runbook: Write) -> None:
    told = nbops("lint", runbook(BITES))
    assert told.code == 1
    assert told.out.startswith("book.yml:")
    assert "  hint: " in told.out
    assert told.out.endswith("1 finding in 1 file\n")


def test_what_does_not_load_ends_with_2_and_all_files_are_looked_at(
    nbops: Nbops, runbook: Write
) -> None:
    one, two = runbook("- nope: x", "one.yml"), runbook("- nape: x", "two.yml")
    told = nbops("lint", one, two, runbook(BITES, "three.yml"))
    assert told.code == 2
    assert "one.yml:4:" in told.err
    assert "two.yml:4:" in told.err
    assert "three.yml:" in told.out


def test_without_names_the_runbooks_of_this_folder_are_looked_at(
    nbops: Nbops, runbook: Write
) -> None:
    assert nbops("lint").code == 2
    runbook(GOOD, "runbooks/one.yml")
    runbook(GOOD, "runbooks/two.yaml")
    assert nbops("lint").out == "nothing found in 2 files\n"


def test_findings_can_be_had_as_json(nbops: Nbops, runbook: Write) -> None:
    (finding,) = json.loads(nbops("lint", runbook(BITES), "--json").out)
    assert finding["rule"] == "always-changed"
    assert finding["place"]["line"] == 4


def test_the_shipped_runbooks_have_no_findings(nbops: Nbops) -> None:
    told = nbops("lint", "deploy")
    assert told.code == 0, told.out


@pytest.mark.parametrize("kind", ["runbook", "inventory"])
def test_a_schema_is_one_json_document(nbops: Nbops, kind: str) -> None:
    assert json.loads(nbops("schema", kind).out)["title"] == f"nbops {kind}"


def test_there_is_no_other_schema(nbops: Nbops) -> None:
    assert nbops("schema", "nope").code == 2


def test_of_what_does_not_load_it_is_not_said_that_nothing_was_found(
    nbops: Nbops, runbook: Write
) -> None:
    Path("dash.yml").write_text("- hosts\n")
    assert "nothing found" not in nbops("lint", "dash.yml").out
    assert json.loads(nbops("lint", "dash.yml", "--json").out)["kind"] == "error"


def test_a_hook_of_no_runbook_is_found(nbops: Nbops) -> None:
    Path("runbooks/hooks").mkdir(parents=True)
    Path("runbooks/greet.yml").write_text("- hosts: all\n  tasks: [{debug: }]\n")
    Path("runbooks/hooks/after-gret.yml").write_text("- hosts: all\n  tasks: [{debug: }]\n")
    told = nbops("lint")
    assert told.code == 2
    assert "`after-gret` is the hook of no runbook" in told.err


def test_what_stands_for_an_action_of_ansible_is_named(nbops: Nbops) -> None:
    assert "use `include_tasks`" in nbops("actions", "include_role").err
    assert "command: tar" in nbops("actions", "unarchive").err
