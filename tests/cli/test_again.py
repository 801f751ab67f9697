"""`nbops resume` and `nbops abort` after runs that were killed, with real shells."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PLAY = """
- hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: first
      shell: echo "first {{ inventory_hostname }}" >> LOG
      rollback:
        - shell: echo "undo first {{ inventory_hostname }}" >> LOG
    - name: remember
      set_fact: {remembered: "{{ inventory_hostname }} was here"}
    - name: what no journal keeps
      set_fact: {hidden: "{{ inventory_hostname }}"}
      no_log: true
    - name: slow
      shell: |
        echo "begin {{ inventory_hostname }}" >> LOG
        until [ -e GO ]; do sleep 0.05; done
        echo "end {{ inventory_hostname }}" >> LOG
        echo said
      register: said
      rollback:
        - shell: echo "undo slow {{ inventory_hostname }}" >> LOG
    - name: last
      shell: echo "last {{ inventory_hostname }} {{ said.stdout }} {{ remembered }}" >> LOG
      failed_when: "'fail' in lookup('file', 'wish')"
      rollback:
        - shell: |
            echo "undo last {{ inventory_hostname }}" >> LOG
            until [ -e BACK ]; do sleep 0.05; done
"""


@dataclass
class Desk:
    """A computer with nbops, and two hosts that are this machine."""

    folder: Path
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    def nbops(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "nbops", *arguments, "--plain"],
            cwd=self.folder,
            env=os.environ | {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.begun.append(process)
        return process

    def wait_for(self, *lines: str) -> None:
        end = time.monotonic() + 60
        while not set(lines) <= set(self.log()):
            assert time.monotonic() < end, self.log()
            time.sleep(0.02)

    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def let_go(self, name: str = "go") -> None:
        (self.folder / name).touch()

    def killed_while_slow(self, number: int = signal.SIGKILL) -> None:
        process = self.nbops("run", "play.yml")
        self.wait_for("begin a", "begin b")
        process.send_signal(number)
        process.communicate(timeout=60)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    text = PLAY
    for word in ("log", "go", "back"):
        text = text.replace(word.upper(), str(tmp_path / word))
    (tmp_path / "play.yml").write_text(text)
    (tmp_path / "wish").write_text("go well")
    (tmp_path / "inventory.yml").write_text(
        "all: {hosts: {a: , b: }, vars: {ansible_connection: local}}\n"
    )
    made = Desk(tmp_path)
    yield made
    made.let_go("go")
    made.let_go("back")
    for process in made.begun:
        process.kill()
        process.communicate(timeout=60)


ONCE = Counter(
    f"{word} {host}{more}"
    for host in "ab"
    for word, more in (
        ("first", ""),
        ("begin", ""),
        ("end", ""),
        ("last", f" said {host} was here"),
    )
)


def test_a_killed_run_goes_on_to_its_end_and_nothing_is_done_twice(desk: Desk) -> None:
    desk.killed_while_slow()
    resumed = desk.nbops("resume")
    time.sleep(0.3)
    desk.let_go()
    code, out = ended(resumed)
    assert code == 0, out
    assert Counter(desk.log()) == ONCE
    assert "TASK first" not in out


def test_what_ended_while_nobody_watched_is_not_begun_again(desk: Desk) -> None:
    desk.killed_while_slow()
    desk.let_go()
    desk.wait_for("end a", "end b")
    code, out = ended(desk.nbops("resume"))
    assert (code, Counter(desk.log())) == (0, ONCE), out


def test_a_killed_run_is_undone_in_reverse_order_and_what_ran_is_ended_first(desk: Desk) -> None:
    desk.killed_while_slow()
    code, out = ended(desk.nbops("abort"))
    assert code == 0, out
    assert [line for line in desk.log() if line.endswith(" a")] == [
        "first a",
        "begin a",
        "undo slow a",
        "undo first a",
    ]
    desk.let_go()
    time.sleep(0.3)
    assert "end a" not in desk.log()


def test_an_abort_says_where_something_stays_that_has_no_way_back(desk: Desk) -> None:
    play = desk.folder / "play.yml"
    play.write_text(re.sub(r"\n      rollback:(\n {8}.*)+", "", play.read_text()))
    desk.killed_while_slow()
    code, out = ended(desk.nbops("abort"))
    assert (code, "changed on a, b stays: no `rollback:` undoes it" in out) == (0, True), out


def test_ctrl_c_leaves_a_run_that_can_be_resumed_and_says_how(desk: Desk) -> None:
    process = desk.nbops("run", "play.yml")
    desk.wait_for("begin a", "begin b")
    process.send_signal(signal.SIGINT)
    code, out = ended(process)
    assert code == 130
    assert "`nbops resume " in out
    assert "`nbops abort " in out
    desk.let_go()
    code, out = ended(desk.nbops("resume"))
    assert (code, Counter(desk.log())) == (0, ONCE), out


def test_a_run_that_is_killed_on_its_way_back_goes_on_going_back(desk: Desk) -> None:
    (desk.folder / "wish").write_text("fail")
    desk.let_go()
    process = desk.nbops("run", "play.yml")
    desk.wait_for("undo last a", "undo last b")
    process.kill()
    process.communicate(timeout=60)
    desk.let_go("back")
    code, out = ended(desk.nbops("resume"))
    assert code == 3, out
    undone = [line for line in desk.log() if line.startswith("undo") and line.endswith(" a")]
    assert undone == ["undo last a", "undo slow a", "undo first a"]


def test_a_run_that_is_at_work_is_neither_resumed_nor_aborted(desk: Desk) -> None:
    desk.nbops("run", "play.yml")
    desk.wait_for("begin a", "begin b")
    for command in ("resume", "abort"):
        code, out = ended(desk.nbops(command))
        assert code == 5
        assert "still at work" in out


def test_a_changed_runbook_is_not_gone_on_with_unless_told(desk: Desk) -> None:
    desk.killed_while_slow()
    desk.let_go()
    text = (desk.folder / "play.yml").read_text()
    (desk.folder / "play.yml").write_text(text.replace("name: last", "name: the last"))
    code, out = ended(desk.nbops("resume"))
    assert code == 2
    assert "another runbook" in out
    code, out = ended(desk.nbops("resume", "--changed"))
    assert (code, Counter(desk.log())) == (0, ONCE), out


@pytest.mark.parametrize(
    ("name", "part"), [("vars/site.yml", "runbook"), ("{{ hosts_of }}.yml", "vars_files")]
)
def test_changed_variables_are_not_gone_on_with_either(desk: Desk, name: str, part: str) -> None:
    play, file = desk.folder / "play.yml", desk.folder / "vars" / "site.yml"
    file.parent.mkdir()
    file.write_text("word: one\n")
    head = f"vars_files: ['{name}']\n  vars: {{hosts_of: site}}\n  tasks:"
    play.write_text(play.read_text().replace("tasks:", head, 1))
    desk.killed_while_slow()
    desk.let_go()
    file.write_text("word: two\n")
    code, out = ended(desk.nbops("resume"))
    assert code == 2, out
    assert f"begun with another {part} than there is now" in out
    file.write_text("word: one\n")
    code, out = ended(desk.nbops("resume"))
    assert (code, Counter(desk.log())) == (0, ONCE), out


def test_secrets_of_a_run_are_kept_nowhere_and_given_again(desk: Desk) -> None:
    given = (
        "-e", "db_password=pw7",
        "-e", '{"db": {"password": 12345678, "host": "h"}, "admin_tokens": ["extra"]}',
    )  # fmt: skip
    play = desk.folder / "play.yml"
    said = "    - debug: {msg: '{{ db.password }} {{ admin_tokens[0] }}'}\n  tasks:"
    play.write_text(play.read_text().replace("tasks:", f"pre_tasks:\n{said}", 1))
    process = desk.nbops("run", "play.yml", *given)
    desk.wait_for("begin a", "begin b")
    process.kill()
    shown, _ = process.communicate(timeout=60)
    assert "12345678" not in shown
    journal = (desk.folder / "nbops" / "journal.db").read_bytes()
    journal += (desk.folder / "nbops" / "journal.db-wal").read_bytes()
    assert [one for one in (b"pw7", b"12345678", b'"extra"]') if one in journal] == []
    desk.let_go()
    code, out = ended(desk.nbops("resume"))
    assert (code, "give -e db_password=… -e @FILE (with `db` as it was) -e" in out) == (2, True), (
        out
    )
    code, out = ended(desk.nbops("resume", *given))
    assert (code, Counter(desk.log())) == (0, ONCE), out


def test_a_run_of_another_nbops_is_not_gone_on_with_unless_told(desk: Desk) -> None:
    desk.killed_while_slow()
    desk.let_go()
    with sqlite3.connect(desk.folder / "nbops" / "journal.db") as database:
        (plan,) = database.execute("SELECT plan FROM runs").fetchone()
        older = json.dumps(json.loads(plan) | {"nbops": "0.0.1"})
        database.execute("UPDATE runs SET plan=?, plan_hash='older'", (older,))
    database.close()
    code, out = ended(desk.nbops("resume"))
    assert code == 2, out
    assert "begun with another nbops than there is now" in out
    code, out = ended(desk.nbops("resume", "--changed"))
    assert (code, Counter(desk.log())) == (0, ONCE), out


def test_a_run_that_came_to_its_end_is_not_resumed(desk: Desk) -> None:
    desk.let_go()
    assert ended(desk.nbops("run", "play.yml"))[0] == 0
    code, out = ended(desk.nbops("resume"))
    assert code == 2
    assert "no run from this computer was interrupted" in out


def test_a_dry_run_that_was_killed_is_nothing_to_go_on_with(desk: Desk) -> None:
    play = desk.folder / "play.yml"
    play.write_text(
        play.read_text().replace("name: slow\n", "name: slow\n      check_mode: false\n")
    )
    process = desk.nbops("run", "play.yml", "--check")
    desk.wait_for("begin a", "begin b")
    process.kill()
    process.communicate(timeout=60)
    code, out = ended(desk.nbops("resume", "--changed"))
    assert code == 2
    assert "no run from this computer was interrupted" in out
    code, out = ended(desk.nbops("resume", "2", "--changed"))
    assert code == 2
    assert "only said what would change" in out
    assert "first a" not in desk.log()


def test_what_failed_before_a_stop_is_done_anew_and_what_went_well_is_not(desk: Desk) -> None:
    desk.killed_while_slow()
    (desk.folder / "wish").write_text("fail")
    desk.let_go()
    journal = desk.folder / "nbops" / "journal.db"
    resumed = desk.nbops("resume")
    desk.wait_for("undo last a", "undo last b")
    resumed.kill()
    resumed.communicate(timeout=60)
    with sqlite3.connect(journal) as database:  # as if it had stopped there, as `on_failure` says
        database.execute("DELETE FROM marks WHERE name='undoing'")
    database.close()
    (desk.folder / "wish").write_text("go well")
    code, out = ended(desk.nbops("resume"))
    assert code == 0, out
    counts = Counter(desk.log())
    assert counts["last a said a was here"] == counts["last b said b was here"] == 2
    assert counts["end a"] == counts["first a"] == 1


@pytest.mark.parametrize("command", ["resume", "abort"])
def test_a_host_that_is_gone_for_good_is_taken_out_of_the_inventory(
    desk: Desk, command: str
) -> None:
    desk.killed_while_slow()
    if command == "resume":
        desk.let_go()
    (desk.folder / "inventory.yml").write_text(
        "all: {hosts: {a: }, vars: {ansible_connection: local}}\n"
    )
    code, out = ended(desk.nbops(command))
    assert (code, "another inventory" in out) == (2, True), out
    code, out = ended(desk.nbops(command, "--changed"))
    assert code == 0, out
    of_a = [line for line in desk.log() if " a" in line]
    if command == "resume":
        assert Counter(of_a) == Counter({k: v for k, v in ONCE.items() if " a" in k})
    else:
        assert of_a[2:] == ["undo slow a", "undo first a"]


def test_the_way_back_goes_on_without_a_host_that_is_gone_for_good(desk: Desk) -> None:
    (desk.folder / "wish").write_text("fail")
    desk.let_go()
    process = desk.nbops("run", "play.yml")
    desk.wait_for("undo last a", "undo last b")
    process.kill()
    process.communicate(timeout=60)
    desk.let_go("back")
    (desk.folder / "inventory.yml").write_text(
        "all: {hosts: {b: }, vars: {ansible_connection: local}}\n"
    )
    code, out = ended(desk.nbops("resume", "--changed"))
    assert code == 3, out
    undone = [line for line in desk.log() if line.startswith("undo") and line.endswith(" b")]
    assert undone[-3:] == ["undo last b", "undo slow b", "undo first b"]
