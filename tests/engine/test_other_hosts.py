"""A run that goes on although a host was taken out of the inventory, or came into it, since."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.conftest import Play
from tests.engine.test_again import stopped

UNDO = "echo {{ inventory_hostname }} >>{{ work }}/undone; [ -e {{ work }}/mended ]"
CHECKED_ONCE = f"""
- hosts: other:a:b
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - {{name: one, command: "true", rollback: [{{name: undo one, shell: "{UNDO}"}}]}}
    - name: once
      shell: echo {{{{ inventory_hostname }}}} >>{{{{ work }}}}/once
      run_once: true
    - {{name: two, command: "true", rollback: [{{name: undo two, command: "true"}}]}}
    - {{name: three, hold: }}
    - {{name: four, command: "false"}}
"""


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("aborting", [False, True])
def test_what_a_host_that_is_gone_did_for_all_keeps_nobody_from_undoing_the_rest(
    play: Play, tmp_path: Path, aborting: bool
) -> None:
    (tmp_path / "go").touch()
    failed = play(CHECKED_ONCE)
    assert (failed.code, len(lines(tmp_path / "undone"))) == (6, 3)
    (tmp_path / "mended").touch()
    again = play(CHECKED_ONCE, again=failed.run, without_d=True, aborting=aborting)
    assert again.code == 3, again.text
    assert sorted(lines(tmp_path / "undone")[3:]) == ["a", "b"]
    assert lines(tmp_path / "once") == ["d"]


def test_what_a_host_that_is_gone_did_for_all_is_not_done_again(play: Play, tmp_path: Path) -> None:
    run = stopped(play, tmp_path, CHECKED_ONCE)
    (tmp_path / "mended").touch()
    assert play(CHECKED_ONCE, again=run, without_d=True).code == 3
    assert lines(tmp_path / "once") == ["d"]


def test_a_new_host_undoes_nothing_and_keeps_nobody_from_it(play: Play, tmp_path: Path) -> None:
    text = f"""
    - hosts: other:a:b
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - name: whole
          block:
            - {{name: one, command: "true", rollback: [{{name: undo one, shell: "{UNDO}"}}]}}
          rollback:
            - {{name: undo the whole, shell: "{UNDO}"}}
        - {{name: two, hold: , rollback: [{{name: undo two, shell: "{UNDO}"}}]}}
        - {{name: three, command: "true", rollback: [{{name: undo three, shell: "{UNDO}"}}]}}
    """
    (tmp_path / "mended").touch()
    run = stopped(play, tmp_path, text.replace("other:", ""))
    again = play(text, again=run, with_d=True, aborting=True)
    assert again.code == 3, again.text
    assert again.report.error is not None
    assert again.report.error.problems[0].hint is None
    assert sorted(lines(tmp_path / "undone")) == ["a", "a", "a", "b", "b", "b"]


def test_who_leads_now_undoes_what_it_did_as_one_of_the_others(play: Play, tmp_path: Path) -> None:
    """The host that a play of its own was for is gone; another one is in its place there."""
    text = f"""
    - hosts: FIRST
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - {{name: lead, command: "true", rollback: [{{name: undo lead, shell: "{UNDO}"}}]}}
    - hosts: other:a:b
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - {{name: follow, command: "true", rollback: [{{name: undo follow, shell: "{UNDO}"}}]}}
        - {{name: hold, hold: }}
    """
    (tmp_path / "mended").touch()
    run = stopped(play, tmp_path, text.replace("FIRST", "d"))
    again = play(text.replace("FIRST", "a"), again=run, without_d=True, aborting=True)
    assert again.code == 3, again.text
    assert sorted(lines(tmp_path / "undone")) == ["a", "b"]
    assert ("undo lead", "a") not in again.order()


def test_what_is_at_work_on_the_way_back_is_not_begun_twice_when_another_host_is_gone(
    play: Play, tmp_path: Path
) -> None:
    text = """
    - hosts: other:a:b
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - {name: one, command: "true", rollback: [{name: undo one, hold: }]}
        - {name: two, command: "false"}
    """
    run = stopped(play, tmp_path, text)
    assert play(text, again=run, without_d=True).code == 3
    assert sorted(lines(tmp_path / "begun")) == ["a", "b", "d"]


def test_a_new_host_unseals_nothing(play: Play, tmp_path: Path) -> None:
    text = f"""
    - hosts: other:a:b
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - {{name: one, command: "true", rollback: [{{name: undo one, shell: "{UNDO}"}}]}}
        - {{name: door, seal: , when: "inventory_hostname != 'd'"}}
        - {{name: two, hold: }}
        - {{name: three, command: "false"}}
    """
    run = stopped(play, tmp_path, text.replace("other:", ""))
    assert play(text, again=run, with_d=True).code == 1
    assert not lines(tmp_path / "undone")
