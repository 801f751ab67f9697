"""Jobs that work on while nobody can reach their host. The loss of the connection is feigned
here; tests/transport/test_faults.py has real ones."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbops.base.command import Command, Effect, Outcome
from nbops.base.errors import ConnectionLost, Interrupted
from nbops.base.events import Note
from nbops.engine.run import OnFailure
from nbops.transport.pool import Pool
from tests.engine.conftest import Play, Played
from tests.engine.test_again import stopped

_DEADLINE = 30
WORK = "echo $$ >{{ work }}/pid; touch {{ work }}/begun; exec sleep 60"
LOOK = "kill -0 $(cat {{ work }}/pid) 2>/dev/null && echo alive >{{ work }}/seen || echo dead >{{ work }}/seen"  # noqa: E501
UNDONE = f"""
    - hosts: a
      gather_facts: false
      tasks:
        - name: prepare
          command: "true"
          rollback:
            - name: undo
              shell: {LOOK}
        - name: work
          shell: {WORK}
"""
RESCUED = f"""
    - hosts: a
      gather_facts: false
      tasks:
        - rescue_unreachable: true
          block:
            - name: work
              shell: {WORK}
          rescue:
            - name: look
              shell: {LOOK}
"""


@dataclass
class Losing:
    """Sessions that are lost as soon as a job has made its file `begun`; `away` ones stay so."""

    pool: Pool
    folder: Path
    away: bool = False
    lost: bool = False

    def session(self, endpoint: Any) -> _Session:
        return _Session(self, self.pool.session(endpoint))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pool, name)


@dataclass
class _Session:
    losing: Losing
    session: Any

    def run(self, command: Command, watch: Any = None) -> Outcome:
        self._check()
        if self.losing.lost or command.effect is Effect.NONE or "begun" not in command.text():
            outcome: Outcome = self.session.run(command, watch)
            return outcome
        threading.Thread(target=self._unseen, args=(command,), daemon=True).start()
        end = time.monotonic() + _DEADLINE
        while not (self.losing.folder / "begun").exists() and time.monotonic() < end:
            time.sleep(0.02)
        self.losing.lost = True
        raise ConnectionLost("a: gone")

    def _unseen(self, command: Command) -> None:
        with contextlib.suppress(Interrupted):
            self.session.run(command)

    def look(self, *arguments: Any) -> Any:
        self._check()
        return self.session.look(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def _check(self) -> None:
        if self.losing.away and self.losing.lost:
            raise ConnectionLost("a: still gone")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HOME", str(tmp_path))
    yield


def lost(play: Play, folder: Path, text: str, *, away: bool = False, **options: Any) -> Played:
    return play(text, wrap=lambda pool: Losing(pool, folder, away), **options)


def seen(folder: Path) -> str:
    return (folder / "seen").read_text().strip()


def test_it_is_ended_before_anything_is_undone(play: Play, tmp_path: Path) -> None:
    assert lost(play, tmp_path, UNDONE).code == 3
    assert seen(tmp_path) == "dead"


def test_it_is_ended_before_its_rescue(play: Play, tmp_path: Path) -> None:
    assert lost(play, tmp_path, RESCUED).code == 0
    assert seen(tmp_path) == "dead"


def test_an_abort_ends_it_first(play: Play, tmp_path: Path) -> None:
    run = lost(play, tmp_path, UNDONE, on_failure=OnFailure.STOP).run
    assert not (tmp_path / "seen").exists()
    assert play(UNDONE, again=run, aborting=True).code == 3
    assert seen(tmp_path) == "dead"


def test_a_resumed_run_takes_it_over(play: Play, tmp_path: Path) -> None:
    text = UNDONE.replace("exec sleep 60", "sleep 3; echo once >>{{ work }}/done")
    run = lost(play, tmp_path, text, on_failure=OnFailure.STOP).run
    assert play(text, again=run).code == 0
    assert (tmp_path / "done").read_text() == "once\n"


def test_nothing_is_undone_on_a_host_where_it_cannot_be_ended(play: Play, tmp_path: Path) -> None:
    played = lost(play, tmp_path, UNDONE, away=True)
    assert played.code == 6
    assert not (tmp_path / "seen").exists()
    told = [one.message for one in played.seen if isinstance(one, Note)]
    assert "what was begun there may still be at work: a: still gone" in told
    assert play(UNDONE, again=played.run).code == 3
    assert seen(tmp_path) == "dead"


def test_one_of_a_node_that_was_left_out_is_ended_also_when_the_run_goes_on_in_between(
    play: Play, tmp_path: Path
) -> None:
    text = f"""
    - hosts: a
      gather_facts: false
      tasks:
        - name: start
          rescue_unreachable: true
          block:
            - name: work
              shell: {WORK}
          rescue:
            - {{name: left out, set_fact: {{out: true}}}}
          rollback:
            - {{name: undo, shell: '{LOOK}'}}
    - hosts: b
      gather_facts: false
      any_errors_fatal: true
      tasks:
        - name: wait
          shell: |
            touch {{{{ work }}}}/there
            until [ -e {{{{ work }}}}/go ]; do sleep 0.05; done
        - {{name: fail, command: "false"}}
    """
    losing = {"wrap": lambda pool: Losing(pool, tmp_path)}
    run = stopped(play, tmp_path, text, mark="there", **losing)
    assert not (tmp_path / "seen").exists()
    assert play(text, again=run).code == 3
    assert seen(tmp_path) == "dead"
