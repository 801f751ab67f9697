"""Each command from its words on the command line to what it says, on this machine."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.cli import runbooks
from tests.cli.cli_told import Nbops

Write = Callable[[str], Path]


def events(out: str) -> list[dict[str, object]]:
    return [json.loads(row) for row in out.splitlines()]


def test_a_runbook_runs_and_a_second_run_changes_nothing(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    target = Path("made").absolute()
    path = runbook(f"- copy: {{content: x, dest: {target}, mode: '0600'}}\n  run_once: true")
    first, second = nbops("run", path), nbops("run", path)
    assert (first.code, second.code) == (0, 0)
    assert "1 change on 1 host" in first.out.splitlines()[-1]
    assert second.out.splitlines()[-1].endswith("nothing changed")


def test_check_changes_nothing_and_says_what_would_be(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    target = Path("made").absolute()
    path = runbook(f'- copy: {{content: "x\\n", dest: {target}}}\n  run_once: true')
    told = nbops("run", path, "--check", "--diff")
    assert told.code == 0
    assert "      +x" in told.out
    assert told.out.splitlines()[-1].endswith("1 change on 1 host would be made")
    assert not target.exists()


def test_a_failing_task_ends_with_1_and_shows_its_output(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    told = nbops("run", runbook("- shell: echo seen; echo lost >&2; exit 3"))
    assert told.code == 1
    assert "exit status 3" in told.out
    assert "        | seen" in told.out
    assert "        | lost" in told.out


def test_json_gives_every_event_and_nothing_else(nbops: Nbops, local: Path, runbook: Write) -> None:
    told = nbops("run", runbook("- debug: {msg: hello}"), "--json")
    kinds = [event["kind"] for event in events(told.out)]
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_ended"
    assert told.err == ""


def test_limit_tags_and_variables_reach_the_run(nbops: Nbops, local: Path, runbook: Write) -> None:
    path = runbook(
        "- debug: {msg: 'said {{ word }}'}\n  tags: [yes-this]\n- debug: {msg: not this}\n"
    )
    told = nbops("run", path, "--limit", "here", "--tags", "yes-this", "-e", "word=loud")
    assert "said loud" in told.out
    assert "not this" not in told.out
    assert "there" not in told.out.replace("here, there", "").split("RECAP")[1]


def test_the_run_can_begin_at_a_task(nbops: Nbops, local: Path, runbook: Write) -> None:
    path = runbook("- name: one\n  debug: {msg: first}\n- name: two\n  debug: {msg: second}\n")
    told = nbops("run", path, "--start-at-task", "two")
    assert "second" in told.out
    assert "first" not in told.out


def test_tasks_and_hosts_can_be_listed_without_running(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    path = runbook("- name: one\n  tags: [a]\n  command: touch ran\n- name: two\n  ping:\n")
    told = nbops("run", path, "--list-tasks", "--list-hosts", "--tags", "a", "--limit", "here")
    assert told.out.splitlines() == [
        "runbook: book.yml",
        "",
        "  play #1 (all): all\tTAGS: []",
        "    hosts (1):",
        "      here",
        "    tasks:",
        "      one\tTAGS: [a]",
    ]
    assert not Path("ran").exists()
    plays = json.loads(nbops("run", path, "--list-tasks", "--json").out)
    assert [task["name"] for task in plays[0]["tasks"]] == ["one", "two"]


# `verify` is a list of tasks, which others include.
@pytest.mark.parametrize("name", sorted({*runbooks.names(runbooks.shipped())} - {"verify"}))
def test_each_runbook_of_ours_can_be_listed_for_a_new_inventory(
    nbops: Nbops, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbops("init", "mine")
    monkeypatch.chdir("mine")
    told = nbops("run", name, "--list-tasks", "--list-hosts")
    assert told.code == 0, told.err
    assert "    hosts (" in told.out


PARTS = [("--limit", "here"), ("--tags", "a"), ("--skip-tags", "a"), ("--start-at-task", "one")]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "name", ["upgrade", "rollback", "restore", "plugin-enable", "plugin-disable", "plugin-switch"]
)
def test_what_is_done_as_a_whole_refuses_to_be_done_in_part(
    nbops: Nbops, local: Path, name: str, part: tuple[str, str]
) -> None:
    for named in (name, runbooks.shipped() / f"{name}.yml"):
        told = nbops("run", named, *part)
        assert told.code == 2
        assert f"{part[0]}: `{name}` is done as a whole" in told.err


def test_so_does_the_users_own_in_its_place(
    nbops: Nbops, local: Path, runbook: Callable[[str, str], Path]
) -> None:
    runbook("- name: mine\n  debug: {msg: my own}", "runbooks/upgrade.yml")
    assert "my own" in nbops("run", "upgrade").out
    told = nbops("run", "upgrade", *PARTS[0], *PARTS[1])
    assert told.code == 2
    assert "--limit and --tags: `upgrade` is done as a whole" in told.err
    assert "my own" not in told.out


def test_another_file_of_that_name_may_be_done_in_part(
    nbops: Nbops, local: Path, runbook: Callable[[str, str], Path]
) -> None:
    path = runbook("- debug: {msg: packages}", "elsewhere/upgrade.yml")
    told = nbops("run", path, "--limit", "here")
    assert told.code == 0
    assert "packages" in told.out


def test_the_hosts_of_a_listed_play_are_those_of_the_groups_with_a_meaning(
    nbops: Nbops,
) -> None:
    nbops("init", "mine")
    Path("book.yml").write_text("- hosts: nocobase_first\n- hosts: nocobase_others:redis\n")
    inventory = ("-i", "mine/inventory.yml")
    plays = json.loads(nbops("run", "book.yml", *inventory, "--list-hosts", "--json").out)
    assert [play["hosts"] for play in plays] == [["node1"], ["node2", "node3", "cache"]]


def test_the_users_own_runbook_replaces_the_shipped_one(
    nbops: Nbops, local: Path, runbook: Callable[[str, str], Path]
) -> None:
    runbook("- debug: {msg: my own}", "runbooks/deploy.yml")
    assert "my own" in nbops("run", "deploy").out


def test_a_mistake_in_a_runbook_ends_with_2_and_names_its_place(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    told = nbops("run", runbook("- name: x\n  comand: echo"))
    assert told.code == 2
    assert "book.yml:5:" in told.err
    assert told.out == ""


def test_exec_shows_what_each_host_wrote(nbops: Nbops, local: Path) -> None:
    told = nbops("exec", "all", "--", "echo one; echo two >&2")
    assert told.code == 0
    assert told.out.count("        | one") == 2
    assert told.out.count("        | two") == 2


def test_exec_passes_words_as_they_are(nbops: Nbops, local: Path) -> None:
    told = nbops("exec", "here", "--", "printf", "%s|", "a b", "$HOME", "'")
    assert "| a b|$HOME|'|" in told.out


def test_exec_ends_with_1_when_the_command_fails_anywhere(nbops: Nbops, local: Path) -> None:
    told = nbops("exec", "all", "--", "exit 7")
    assert told.code == 1
    assert "exit status 7" in told.out


def test_exec_on_nobody_is_refused(nbops: Nbops, local: Path) -> None:
    assert nbops("exec", "all:!all", "--", "true").code == 2


def test_history_and_show_tell_of_past_runs(nbops: Nbops, local: Path, runbook: Write) -> None:
    assert nbops("history").out == "no run yet\n"
    ran = nbops("run", runbook("- debug: {msg: hello}"))
    (only,) = json.loads(nbops("history", "--json").out)
    assert only["command"] == "book"
    row = nbops("history").out.splitlines()[1]
    assert only["run"] in row
    assert row.endswith("done")
    assert nbops("show", only["run"]).out == ran.out
    kinds = [event["kind"] for event in events(nbops("show", only["run"][:20], "--json").out)]
    assert kinds[-1] == "run_ended"


def test_show_of_a_run_that_is_not_there_is_refused(nbops: Nbops) -> None:
    told = nbops("show", "20200101")
    assert told.code == 2
    assert "nbops history" in told.err


def test_init_writes_an_inventory_and_secrets_that_only_the_owner_reads(nbops: Nbops) -> None:
    told = nbops("init", "mine")
    assert told.code == 0
    assert "mine/inventory.yml" in told.out
    key = Path("mine/secrets/app_key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_init_overwrites_nothing(nbops: Nbops) -> None:
    nbops("init", "mine")
    before = Path("mine/secrets/app_key").read_text()
    assert nbops("init", "mine").code == 2
    assert Path("mine/secrets/app_key").read_text() == before


def test_actions_are_listed_and_explained(nbops: Nbops) -> None:
    listed = nbops("actions").out
    assert "\ncopy " in listed
    assert "\nbalancer_configure " in listed
    one = nbops("actions", "copy").out
    assert "dest (required)" in one
    assert "Example:" in one
    data = json.loads(nbops("actions", "copy", "--json").out)
    assert data["arguments"]["dest"]["required"] is True
    assert nbops("actions", "ansible.builtin.copy").out == one


def test_an_unknown_action_is_answered_with_the_nearest(nbops: Nbops) -> None:
    assert "did you mean `template`?" in nbops("actions", "templat").err


def test_the_lock_of_no_cluster_cannot_be_shown(nbops: Nbops, local: Path) -> None:
    told = nbops("lock", "show")
    assert told.code == 2
    assert "no cluster to lock" in told.err
