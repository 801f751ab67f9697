from __future__ import annotations

import sqlite3
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from nbops.base.errors import NbopsError, UsageError
from nbops.base.events import Note
from nbops.base.ids import StepId
from nbops.journal.read import events, find_run, history, latest_run, not_undone, unfinished_runs
from nbops.journal.store import Journal, RunEntry
from nbops.journal.unfinished import unfinished


def entry(run: str = "r1", cluster: str = "c") -> RunEntry:
    return RunEntry(
        run=run,
        command="deploy",
        cluster=cluster,
        operator="me@here",
        inventory="i.yml",
        runbook="deploy.yml",
        plan_hash="x",
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def test_an_intent_is_on_disk_when_the_call_returns(path: Path) -> None:
    journal = Journal(path, entry())
    journal.intend(StepId("0.1", "node1"), "command", "job")
    other = sqlite3.connect(path)
    rows = other.execute("SELECT step, ended_at FROM effects").fetchall()
    assert rows == [("0.1/node1/a1p0", None)]
    other.close()
    journal.close()


def test_a_result_is_on_disk_before_the_next_intent_returns(path: Path) -> None:
    journal = Journal(path, entry())
    first = StepId("0.1", "node1")
    journal.intend(first, "command", "job")
    journal.conclude(first, 0)
    journal.intend(StepId("0.2", "node1"), "command", "job")
    with sqlite3.connect(path) as other:
        done = other.execute("SELECT status FROM effects WHERE step=?", (str(first),)).fetchone()
    assert done == (0,)
    journal.close()


def test_what_was_noted_is_on_disk_when_it_was_waited_for(path: Path) -> None:
    journal = Journal(path, entry())
    journal.outcome("0.1", "node1", 1, {"status": "ok"})
    journal.sync()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT path, host FROM outcomes").fetchall() == [("0.1", "node1")]
    journal.close()


def test_the_intents_of_a_wave_share_their_commits(path: Path) -> None:
    journal = Journal(path, entry())
    commits: list[str] = []
    journal._database.set_trace_callback(
        lambda sql: commits.append(sql) if sql.startswith("COMMIT") else None
    )
    threads = [
        threading.Thread(target=journal.intend, args=(StepId("0.1", f"n{n}"), "command", "job"))
        for n in range(64)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(commits) < 64


def test_a_clock_that_is_set_back_does_not_change_which_run_is_the_latest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    for run, moment in (("first", now), ("second", now - 3600)):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        Journal(path, entry(run)).close()
    assert [run.run for run in unfinished_runs(path)] == ["second", "first"]


def test_a_dry_run_leaves_nothing_unfinished(path: Path) -> None:
    Journal(path, entry("real")).close()
    Journal(path, replace(entry("dry"), plan='{"check": true}')).close()
    assert [run.run for run in unfinished_runs(path)] == ["real"]


def test_a_task_that_was_being_tried_anew_has_not_come_to_its_end(path: Path) -> None:
    journal = Journal(path, entry())
    for host in ("node1", "node2"):
        journal.result(StepId("0.1", host), 1, "failed", {})
    journal.retried("0.1", "node1", 1, {-1: 1})
    journal.close()
    assert unfinished(path, "r1").done == {("0.1", "node2", 1)}


def test_history_is_newest_first_and_knows_the_cluster(path: Path) -> None:
    for number in range(3):
        journal = Journal(path, entry(f"r{number}", "a" if number else "b"))
        journal.end(number, "")
        journal.close()
    assert [run.run for run in history(path)] == ["r2", "r1", "r0"]
    assert [run.run for run in history(path, cluster="b")] == ["r0"]
    assert find_run(path, "r1").exit_code == 1


def test_an_unknown_run_is_a_usage_error_with_the_nearest(path: Path) -> None:
    Journal(path, entry("20260101T000000Z-abc")).close()
    with pytest.raises(UsageError) as caught:
        find_run(path, "20260101T000000Z-abd")
    assert "abc" in str(caught.value.problems[0].hint)


def test_the_latest_run_is_the_one_that_began_last(path: Path) -> None:
    with pytest.raises(UsageError, match="no run was made"):
        latest_run(path)
    for run in ("r2", "r1"):
        Journal(path, entry(run)).close()
    assert latest_run(path).run == "r1"


def test_what_is_not_undone_is_known_of_a_run_that_turned_back(path: Path) -> None:
    journal = Journal(path, entry())
    first, second, _ = (
        journal.note_compensation(place, "node1", {}) for place in ("0.1", "0.2", "0.3")
    )
    journal.compensated(second)
    journal.mark("sealed")
    assert not_undone(path, "r1") == []
    journal.mark("undoing")
    assert not_undone(path, "r1") == [("0.3", "node1"), ("0.1", "node1")]
    journal.compensated(first)
    journal.close()
    assert not_undone(path, "r1") == [("0.3", "node1")]


def test_events_come_back_as_they_were(path: Path) -> None:
    journal = Journal(path, entry())
    journal.on_event(Note(level="info", message="hello"))
    journal.end(0, "")
    journal.close()
    assert [event["message"] for event in events(path, "r1")] == ["hello"]


def test_the_file_is_its_owners_alone(path: Path) -> None:
    Journal(path, entry()).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_another_format_is_refused(path: Path) -> None:
    Journal(path, entry()).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version=99")
    with pytest.raises(NbopsError, match="format 99"):
        Journal(path, entry("r2"))


def test_a_damaged_file_is_an_error_and_not_a_traceback(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(NbopsError, match="cannot be used"):
        Journal(path, entry())


def test_a_journal_that_cannot_be_written_stops_the_next_intent(path: Path) -> None:
    journal = Journal(path, entry())
    journal._database.execute("PRAGMA query_only=ON")
    with pytest.raises(NbopsError, match="cannot be written"):
        journal.intend(StepId("0.1", "node1"), "command", "job")
    with pytest.raises(NbopsError, match="cannot be written"):
        journal.intend(StepId("0.2", "node1"), "command", "job")
    journal.close()
