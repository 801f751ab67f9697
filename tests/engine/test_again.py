"""What a run that goes on does once more, and what it takes over."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from nbops.base.retry import Stop
from nbops.engine.run import OnFailure
from tests.engine.conftest import Play

_DEADLINE = 30


def stopped(play: Play, folder: Path, text: str) -> str:
    """The name of a run that was stopped while it held."""
    stop = Stop()

    def watch() -> None:
        end = time.monotonic() + _DEADLINE
        while not (folder / "begun").exists() and time.monotonic() < end:
            time.sleep(0.02)
        stop.set()

    watching = threading.Thread(target=watch)
    watching.start()
    played = play(text, stop=stop)
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
