"""What a run that goes on does once more, and what it takes over."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nbops.base.retry import Stop
from nbops.engine.run import OnFailure
from nbops.journal.store import open_database
from tests.engine.conftest import Play, Played

_DEADLINE = 30


def stopped(play: Play, folder: Path, text: str, mark: str = "begun", **options: Any) -> str:
    """The name of a run that was stopped while it held, when the file `mark` was there."""
    stop = Stop()

    def watch() -> None:
        end = time.monotonic() + _DEADLINE
        while not (folder / mark).exists() and time.monotonic() < end:
            time.sleep(0.02)
        stop.set()

    watching = threading.Thread(target=watch)
    watching.start()
    played = play(text, stop=stop, **options)
    watching.join()
    (folder / "go").touch()
    assert played.code == 130
    return played.run


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_what_one_host_did_for_all_is_not_done_by_another_that_is_back(
    play: Play, tmp_path: Path
) -> None:
    text = """
    - hosts: a:b
      gather_facts: false
      tasks:
        - name: one
          shell: "[ {{ inventory_hostname }} = b ] || [ -e {{ work }}/go ]"
        - name: two
          shell: echo {{ inventory_hostname }} >>{{ work }}/once
          run_once: true
        - {name: three, hold: }
    """
    run = stopped(play, tmp_path, text)
    played = play(text, again=run)
    assert played.code == 0
    assert lines(tmp_path / "once") == ["b"]
    assert sorted(lines(tmp_path / "begun")) == ["a", "b"]


def test_what_undoes_a_step_is_tried_anew_also_within_a_rescue(play: Play, tmp_path: Path) -> None:
    text = """
    - hosts: a
      gather_facts: false
      tasks:
        - block:
            - name: one
              command: "true"
              rollback: [{name: undo one, shell: "[ -e {{ work }}/mended ]"}]
            - {name: two, command: "false"}
          rescue: [{name: worse, command: "false"}]
    """
    played = play(text)
    assert played.code == 6
    (tmp_path / "mended").touch()
    assert play(text, again=played.run).code == 3


def test_a_host_that_no_rescue_was_for_is_tried_anew(play: Play, tmp_path: Path) -> None:
    text = """
    - hosts: a:gone
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - name: zero
          command: "true"
          delegate_to: a
          rollback: [{name: undo, command: "true"}]
        - block: [{name: one, command: "true"}]
          rescue: [{name: never, debug: {msg: x}}]
    """
    played = play(text, on_failure=OnFailure.STOP)
    assert ("one", "gone") in played.order()
    again = play(text, again=played.run, on_failure=OnFailure.STOP)
    assert ("one", "gone") in again.order()
    assert ("one", "a") not in again.order()


def test_what_undid_a_step_tells_what_follows_also_after_an_interruption(
    play: Play, tmp_path: Path
) -> None:
    text = """
    - hosts: a:b
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - name: one
          command: "true"
          rollback:
            - name: use
              shell: |
                echo {{ said | default('nothing') }} >>{{ work }}/used
                [ -e {{ work }}/mended ]
        - name: two
          command: "true"
          rollback:
            - {name: count, shell: "echo {{ inventory_hostname }} >>{{ work }}/counted"}
            - {name: say, set_fact: {said: hello}}
        - {name: three, command: "false"}
    """
    played = play(text)
    assert played.code == 6
    (tmp_path / "mended").touch()
    again = play(text, again=played.run)
    assert again.code == 3
    assert lines(tmp_path / "used") == ["hello"] * 4
    assert sorted(lines(tmp_path / "counted")) == ["a", "b"]
    assert ("count", "a") not in again.order()


FORGOTTEN = """
- hosts: a:b
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: one
      shell: echo one >>{{ work }}/log
      rollback: [{name: undo one, shell: "echo undo one >>{{ work }}/log"}]
    - name: what no journal keeps
      command: "[ ! -e {{ work }}/broken ]"
      changed_when: false
      no_log: true
    - name: two
      shell: echo two >>{{ work }}/log
      rollback: [{name: undo two, shell: "echo undo two >>{{ work }}/log"}]
    - {name: three, hold: }
"""


@pytest.mark.parametrize("aborting", [False, True])
def test_a_run_that_fails_before_it_is_where_it_stood_undoes_nothing_and_stays(
    play: Play, tmp_path: Path, aborting: bool
) -> None:
    run = stopped(play, tmp_path, FORGOTTEN)
    (tmp_path / "broken").touch()
    played = play(FORGOTTEN, again=run, aborting=aborting)
    assert played.code == 1
    assert f"Run {run} had come further than that, so nothing was undone" in played.text
    assert lines(tmp_path / "log") == ["one", "one", "two", "two"]
    (tmp_path / "broken").unlink()
    assert play(FORGOTTEN, again=run, aborting=aborting).code == (3 if aborting else 0)
    undone = ["undo two", "undo two", "undo one", "undo one"] if aborting else []
    assert lines(tmp_path / "log")[4:] == undone


def test_a_host_that_is_gone_for_good_keeps_nobody_from_undoing_the_rest(
    play: Play, tmp_path: Path
) -> None:
    """And what was undone before, or not, is known by its host."""
    undo = "echo {{ inventory_hostname }} >>{{ work }}/undone; [ -e {{ work }}/mended ]"
    text = f"""
    - hosts: HOSTS
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - {{name: one, command: "true", rollback: [{{name: undo one, shell: "{undo}"}}]}}
        - {{name: two, command: "true", rollback: [{{name: undo two, command: "true"}}]}}
        - {{name: three, command: "false"}}
    """
    played = play(text.replace("HOSTS", "other:a:b"))
    assert (played.code, len(lines(tmp_path / "undone"))) == (6, 3)
    (tmp_path / "mended").touch()
    again = play(text.replace("HOSTS", "other:a:b"), again=played.run, without_d=True)
    assert again.code == 3
    assert sorted(lines(tmp_path / "undone")[3:]) == ["a", "b"]
    assert ("undo two", "a") not in again.order()


DOORS = """
- hosts: a:b
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - {name: one, command: "true", rollback: [{name: undo one, command: "true"}]}
    - {name: door, seal: , when: inventory_hostname == 'a'}
    - {name: other door, shell: "[ -e {{ work }}/mended ]"}
- hosts: a:b
  gather_facts: false
  tasks:
    - {name: record, shell: "echo {{ inventory_hostname }} >>{{ work }}/recorded"}
"""


@pytest.mark.parametrize("half_way", [False, True])
def test_what_fails_after_users_were_let_in_can_be_finished_while_it_is_half_way(
    play: Play, tmp_path: Path, half_way: bool
) -> None:
    """And is over where what it brought is recorded."""
    failed = play(DOORS, half_way=half_way)
    assert failed.code == 1
    assert ("undo one", "a") not in failed.order()
    with closing(open_database(failed.journal)) as database:
        ((ended_at,),) = database.execute("SELECT ended_at FROM runs").fetchall()
    assert (ended_at is None) is half_way
    assert (f"`nbops resume {failed.run}` finishes it" in hints(failed)) is half_way
    (tmp_path / "mended").touch()
    if half_way:
        assert play(DOORS, again=failed.run).code == 0
        assert sorted(lines(tmp_path / "recorded")) == ["a", "b"]


def hints(played: Played) -> str:
    error = played.report.error
    return " ".join(str(one.hint) for one in error.problems) if error else ""


@pytest.mark.parametrize("openly", [(), ("nocobase",)])
def test_a_secret_that_is_a_word_of_nbops_hides_nothing_from_a_run_that_goes_on(
    play: Play, tmp_path: Path, openly: tuple[str, ...]
) -> None:
    """And one that is no such word is kept nowhere, whatever that costs."""
    text = """
    - hosts: a
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - name: one
          command: "true"
          rollback:
            - name: start
              shell: |
                echo {{ nocobase_database | default('unknown') }} >>{{ work }}/used
                [ -e {{ work }}/mended ]
        - name: two
          command: "true"
          rollback:
            - {name: swap, set_fact: {nocobase_database: restored}}
        - {name: three, command: "false"}
    """
    options: dict[str, Any] = {"secrets": ["nocobase"], "openly": openly}
    failed = play(text, **options)
    assert failed.code == 6
    (tmp_path / "mended").touch()
    assert play(text, again=failed.run, **options).code == 3
    assert lines(tmp_path / "used") == ["restored", "restored" if openly else "unknown"]
