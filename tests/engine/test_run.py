"""Plays, from the text of a runbook to the recap, on real shells of this machine."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nbops.base.events import Note, PhaseStarted, Status, StepEnded
from nbops.base.retry import Stop
from nbops.journal.store import Journal
from nbops.transport.session import Fence
from tests.engine.conftest import Play


def test_each_task_runs_on_every_host_before_the_next_one(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          tasks:
            - {name: one, command: echo 1}
            - {name: two, command: echo 2}
    """)
    assert played.code == 0
    assert [task for task, _ in played.order()] == ["one"] * 3 + ["two"] * 3
    assert played.counts("a") == {"ok": 2, "changed": 2}
    assert played.counts("d") == {}
    assert played.result("one")["stdout"] == "1"


def test_a_failed_host_leaves_the_play_and_the_others_go_on(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          tasks:
            - {name: one, command: "test {{ inventory_hostname }} != b"}
            - {name: two, command: "true"}
        - hosts: all
          gather_facts: false
          tasks: [{name: three, command: "true"}]
    """)
    assert played.code == 1
    assert played.counts("b") == {"failed": 1}
    assert played.counts("a") == {"ok": 3, "changed": 3}
    assert played.counts("d") == {"ok": 1, "changed": 1}


def test_conditions_skip_and_registered_values_are_seen_later(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          tasks:
            - {name: one, command: "echo {{ inventory_hostname }}", register: said}
            - {name: two, command: "true", when: said.stdout == 'a'}
            - name: three
              debug: {msg: "{{ hostvars['b'].said.stdout }} {{ word }}"}
    """)
    assert played.counts("a") == {"ok": 3, "changed": 2}
    assert played.counts("c") == {"ok": 2, "changed": 1, "skipped": 1}
    assert played.result("three", "c")["msg"] == "b from-all"


def test_rescue_and_always(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          tasks:
            - block:
                - {name: one, command: "test {{ inventory_hostname }} != b"}
                - {name: two, command: "true"}
              rescue:
                - {name: why, debug: {msg: "{{ ansible_failed_task.name }}"}}
              always:
                - {name: end, command: "true"}
    """)
    assert played.code == 0
    assert played.counts("b") == {"ok": 2, "changed": 1, "rescued": 1}
    assert played.result("why", "b")["msg"] == "one"
    assert played.counts("a") == {"ok": 3, "changed": 3}


def test_always_runs_for_a_host_that_stays_failed(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - block: [{name: one, command: "false"}]
              always: [{name: end, command: "true"}]
            - {name: after, command: "true"}
    """)
    assert played.code == 1
    assert played.counts("a") == {"ok": 1, "changed": 1, "failed": 1}


def test_loops_give_a_result_for_each_item(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - name: one
              command: echo {{ item.n }}
              loop: [{n: 1}, {n: 2}]
              loop_control: {index_var: i}
              register: said
            - name: two
              debug: {msg: "{{ said.results | map(attribute='stdout') | join(',') }}"}
    """)
    assert played.result("two")["msg"] == "1,2"
    assert played.counts("a") == {"ok": 2, "changed": 1}


def test_until_tries_again_and_counts_its_attempts(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - name: one
              shell: echo x >>{{ work }}/tries; wc -l <{{ work }}/tries
              register: said
              until: said.stdout | int >= 3
              retries: 5
              delay: 0
    """)
    assert played.code == 0
    assert played.result("one")["attempts"] == 3


def test_until_that_never_holds_is_a_failure(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - {name: one, command: echo no, register: r, until: r.stdout == 'yes', retries: 2,
               delay: 0}
    """)
    assert played.code == 1
    assert played.result("one")["attempts"] == 2  # as in Ansible: the tries after the first


def test_retry_with_backoff_is_the_engines_own(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - name: one
              shell: echo x >>{{ work }}/tries; test $(wc -l <{{ work }}/tries) -ge 2
              retry: {attempts: 4, backoff: exponential, delay: 0.01}
    """)
    assert played.code == 0
    assert played.result("one")["attempts"] == 2


def test_handlers_run_once_at_the_end_in_their_own_order(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          tasks:
            - {name: one, command: "true", notify: [second, first]}
            - {name: two, command: "true", notify: first}
            - {name: three, command: "true", changed_when: false, notify: never}
          handlers:
            - {name: first, command: "true"}
            - {name: second, command: "true"}
            - {name: never, command: "true"}
    """)
    tasks = list(dict.fromkeys(task for task, _ in played.order()))
    assert tasks == ["one", "two", "three", "first", "second"]


def test_run_once_runs_on_one_host_and_gives_its_result_to_all(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          tasks:
            - {name: one, command: echo hello, run_once: true, register: said}
            - {name: two, debug: {msg: "{{ said.stdout }}"}}
    """)
    assert [host for task, host in played.order() if task == "one"] == ["a"]
    assert played.result("two", "c")["msg"] == "hello"


def test_an_error_that_is_fatal_stops_the_play_and_those_after_it(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          any_errors_fatal: true
          tasks:
            - {name: one, command: "test {{ inventory_hostname }} != b"}
            - {name: two, command: "true"}
        - hosts: d
          gather_facts: false
          tasks: [{name: three, command: "true"}]
    """)
    assert played.code == 1
    assert {task for task, _ in played.order()} == {"one"}


def test_serial_takes_the_hosts_in_turns(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          serial: 1
          tasks: [{name: one, command: "true"}, {name: two, command: "true"}]
    """)
    assert [host for _, host in played.order()] == ["a", "a", "b", "b", "c", "c"]


def test_included_tasks_run_for_the_hosts_that_include_them(play: Play) -> None:
    played = play(
        """
        - hosts: app
          gather_facts: false
          tasks:
            - include_tasks: "{{ 'x' if inventory_hostname == 'a' else 'y' }}.yml"
              vars: {given: 7}
        """,
        files={
            "x.yml": "- {name: in x, debug: {msg: '{{ given }}'}}",
            "y.yml": "- {name: in y, debug: {msg: '{{ given }}'}}",
        },
    )
    assert played.code == 0
    assert [host for task, host in played.order() if task == "in x"] == ["a"]
    assert [host for task, host in played.order() if task == "in y"] == ["b", "c"]
    assert played.result("in x")["msg"] == 7


def test_failed_when_and_changed_when_decide(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - {name: one, command: "false", register: r, failed_when: r.rc > 1, changed_when: false}
            - {name: two, command: echo bad, register: r, failed_when: "'bad' in r.stdout"}
    """)
    assert played.code == 1
    assert played.counts("a") == {"ok": 1, "failed": 1}


def test_ignored_errors_are_counted_and_passed_over(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - {name: one, command: "false", ignore_errors: true}
            - {name: two, command: "true"}
    """)
    assert played.code == 0
    assert played.counts("a") == {"ok": 2, "changed": 2, "ignored": 1}
    assert next(e.status for e in played.seen if isinstance(e, StepEnded)) is Status.IGNORED


def test_delegation_acts_elsewhere_and_keeps_the_hosts_variables(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - {name: one, set_fact: {seen: "{{ word }}"}, delegate_to: d, delegate_facts: true}
            - {name: two, debug: {msg: "{{ hostvars.d.seen }}"}}
    """)
    assert played.result("two")["msg"] == "from-all"


def test_environment_and_variables_of_blocks_reach_the_command(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          environment: {ONE: "1", TWO: "1"}
          vars: {x: play, y: play}
          tasks:
            - vars: {x: block}
              environment: {TWO: "2"}
              block:
                - {name: one, shell: 'echo $ONE $TWO {{ x }} {{ y }} {{ z }}', vars: {z: task}}
    """)
    assert played.result("one")["stdout"] == "1 2 block play task"


def test_remote_output_is_never_rendered(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - {name: one, shell: "printf '%s' '{''{ 6 * 7 }''}'", register: said}
            - {name: two, debug: {msg: "{{ said.stdout }}"}}
            - {name: three, set_fact: {kept: "{{ said.stdout }}"}}
            - {name: four, debug: {msg: "{{ kept }}"}}
    """)
    assert played.result("two")["msg"] == "{{ 6 * 7 }}"
    assert played.result("four")["msg"] == "{{ 6 * 7 }}"


def test_what_a_host_says_is_no_expression_either(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - {name: one, shell: "echo '1 == 2'", register: said}
            - {name: two, debug: {var: "{{ said.stdout }}"}}
            - {name: three, debug: {var: said.stdout}}
            - {name: four, assert: {that: ["said.stdout == '1 == 2'"]}}
    """)
    assert played.code == 0
    assert "1 == 2" in played.result("two").values()
    assert played.result("three")["said.stdout"] == "1 == 2"


def test_check_mode_changes_nothing(play: Play) -> None:
    played = play(
        """
        - hosts: a
          gather_facts: false
          tasks: [{name: one, file: {path: "{{ work }}/made", state: directory}}]
        """,
        check=True,
    )
    assert played.code == 0
    assert played.counts("a") == {"ok": 1, "changed": 1}
    assert not (played.folder / "made").exists()


def test_every_effect_has_its_intent_and_its_end_in_the_journal(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          tasks:
            - {name: one, command: "true"}
            - {name: probe, command: "true", changed_when: false}
    """)
    with sqlite3.connect(played.journal) as database:
        rows = database.execute("SELECT step, effect, status FROM effects ORDER BY step").fetchall()
    assert [(step.rpartition("-")[0], effect, status) for step, effect, status in rows] == [
        (f"0.0/{host}/a1p0", "job", 0) for host in "abc"
    ]


def test_what_came_before_a_command_is_on_disk_also_when_it_promised_to_change_nothing(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Journal._commit

    def slowly(journal: Journal, writes: list[Any]) -> None:
        time.sleep(0.3)
        commit(journal, writes)

    monkeypatch.setattr(Journal, "_commit", slowly)
    count = "SELECT count(*) FROM outcomes WHERE path='0.0'"
    played = play(f"""
        - hosts: app
          gather_facts: false
          tasks:
            - {{name: one, set_fact: {{told: 1}}}}
            - name: two
              command:
                argv: [{sys.executable}, -c, "import sqlite3, sys; \
                  print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])",
                  "{{{{ work }}}}/journal.db", "{count}"]
              changed_when: false
    """)
    assert [played.result("two", host)["stdout"] for host in "abc"] == ["3"] * 3


def test_what_was_begun_is_undone_in_reverse_order(play: Play) -> None:
    played = play("""
        - hosts: app
          gather_facts: false
          any_errors_fatal: true
          tasks:
            - name: one
              command: "true"
              rollback: [{name: undo one, shell: "echo one >>{{ work }}/undone"}]
            - name: two
              command: "test {{ inventory_hostname }} != b"
              rollback:
                - {name: undo two, phase: start, shell: "echo two >>{{ work }}/undone"}
            - name: three
              command: "true"
              rollback: [{name: undo three, shell: "echo three >>{{ work }}/undone"}]
    """)
    assert played.code == 3
    assert (played.folder / "undone").read_text().split() == ["two"] * 3 + ["one"] * 3
    assert str(played.report.error) == (
        "`two` failed on b: non-zero return code. Everything that was begun was undone"
    )
    (problem,) = played.report.error.problems
    assert problem.hint is not None
    assert problem.hint.startswith("mend the cause and begin a new run; `nbops show ")
    assert [e.phase for e in played.seen if isinstance(e, PhaseStarted)] == ["rollback"]


def test_a_rollback_that_fails_undoes_nothing_before_it_and_hides_no_error(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - {name: one, command: "true", rollback: [{name: u1, shell: "echo 1 >>{{ work }}/u"}]}
            - {name: two, command: "true", rollback: [{name: u2, command: "false"}]}
            - {name: three, command: "false"}
    """)
    assert played.code == 6
    assert not (played.folder / "u").exists()
    assert str(played.report.error) == (
        "`three` failed on a: non-zero return code. The way back failed too: `two` is not undone:"
        " `u2` failed on a: non-zero return code"
    )
    assert played.report.error is not None
    assert "nbops resume" in str(played.report.error.problems[0].hint)


def test_a_stop_ends_the_run_soon_and_says_so(play: Play) -> None:
    stop = Stop()
    threading.Timer(0.5, stop.set).start()
    played = play(
        """
        - hosts: app
          gather_facts: false
          tasks: [{name: one, command: sleep 30}]
        """,
        stop=stop,
    )
    assert played.code == 130
    assert played.report.seconds < 15


def test_tags_choose_and_never_stays_away(play: Play) -> None:
    played = play(
        """
        - hosts: a
          gather_facts: false
          tasks:
            - {name: one, command: "true", tags: x}
            - {name: two, command: "true"}
            - {name: three, command: "true", tags: [never, y]}
            - {name: four, command: "true", tags: always}
        """,
        choice={"tags": ("x",)},
    )
    assert [task for task, _ in played.order()] == ["one", "four"]


def test_a_handler_that_does_not_exist_is_named_with_the_nearest(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks: [{name: one, command: "true", notify: "{{ 'restrat' }}"}]
          handlers: [{name: restart, command: "true"}]
    """)
    assert played.code != 0
    assert played.report.error is not None
    assert "restart" in str(played.report.error.problems[0].hint)


@pytest.mark.parametrize("what", ["end_host", "end_play"])
def test_meta_ends(play: Play, what: str) -> None:
    played = play(f"""
        - hosts: app
          gather_facts: false
          tasks:
            - {{meta: {what}, when: inventory_hostname == 'a'}}
            - {{name: one, command: "true"}}
    """)
    hosts = {host for _, host in played.order()}
    assert hosts == ({"b", "c"} if what == "end_host" else set())


def test_secrets_in_a_result_are_masked_where_they_are_told(play: Play) -> None:
    from nbops.base.secret import Secret

    played = play(
        """
        - hosts: a
          gather_facts: false
          tasks: [{name: one, shell: 'test -n "$PW" && echo ok', environment: {PW: "{{ pw }}"}}]
        """,
        extra={"pw": Secret("hunter2-hunter2")},
    )
    assert played.result("one")["stdout"] == "ok"
    assert "hunter2" not in repr(played.seen)
    assert b"hunter2" not in Path(played.journal).read_bytes()


def test_a_warning_of_an_action_is_told_aloud(play: Play) -> None:
    warned = play("""
        - hosts: a
          gather_facts: false
          tasks: [{name: one, warn: {}}]
    """)
    notes = [event for event in warned.seen if isinstance(event, Note)]
    assert [(note.level, note.host, note.message) for note in notes] == [("warning", "a", "mind")]


def test_what_an_action_does_not_foresee_is_a_failure_of_its_host(play: Play) -> None:
    played = play("""
        - hosts: a:b
          gather_facts: false
          tasks:
            - name: change
              command: "true"
              rollback: [{name: undo, command: "true"}]
            - {name: one, trust: {}}
    """)
    assert played.code == 3
    assert "a gave an answer that `trust` does not understand" in played.result("one")["msg"]
    assert "none" not in played.result("one")["msg"]
    assert ("undo", "b") in played.order()


def test_an_unreachable_host_is_rescued_where_the_block_says_so(play: Play) -> None:
    played = play("""
        - hosts: a:gone
          gather_facts: false
          tasks:
            - rescue_unreachable: true
              block:
                - block: [{name: one, command: "true"}]
                  rescue: [{name: never, debug: {msg: x}}]
                  always: [{name: never either, debug: {msg: x}, when: inventory_hostname != 'a'}]
                - {name: two, command: "true"}
              rescue: [{name: why, debug: {msg: "{{ ansible_failed_result.unreachable }}"}}]
              always: [{name: end, debug: {msg: x}}]
            - {name: after, debug: {msg: x}}
    """)
    assert played.code == 0
    assert played.counts("gone") == {"ok": 3, "rescued": 1}
    assert [task for task, host in played.order() if host == "gone"] == [
        "one",
        "why",
        "end",
        "after",
    ]


def test_an_unreachable_host_is_left_alone_otherwise(play: Play) -> None:
    played = play("""
        - hosts: a:gone
          gather_facts: false
          tasks:
            - block: [{name: one, command: "true"}]
              rescue: [{name: why, debug: {msg: x}}]
              always: [{name: end, debug: {msg: x}}]
    """)
    assert played.counts("gone") == {"unreachable": 1}


def test_an_error_at_run_time_names_the_line_of_the_keyword(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - name: one
              command: "true"
              when: nothing_here
    """)
    assert "main.yml:7:" in played.result("one")["msg"]


def test_no_log_by_a_template_hides_as_well(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          vars: {quiet: true}
          tasks: [{name: one, command: echo secret, no_log: "{{ quiet }}"}]
    """)
    assert "censored" in played.result("one")


def test_the_rollback_of_a_block_comes_after_those_of_what_was_begun_in_it(play: Play) -> None:
    played = play("""
        - hosts: a
          gather_facts: false
          tasks:
            - name: outer
              rollback: [{name: undo outer, shell: "echo outer >>{{ work }}/undone"}]
              block:
                - name: one
                  command: "true"
                  rollback:
                    - name: undo one
                      shell: "echo try >>{{ work }}/tries; test $(wc -l <{{ work }}/tries) -ge 2"
                      retries: 3
                      delay: 0
                    - {name: then, shell: "echo one >>{{ work }}/undone"}
                - {name: two, command: "false"}
                - name: never begun
                  command: "true"
                  rollback: [{name: undo never, shell: "echo never >>{{ work }}/undone"}]
            - name: not come to
              rollback: [{name: undo this, shell: "echo this >>{{ work }}/undone"}]
              block: [{name: three, command: "true"}]
    """)
    assert played.code == 3
    assert (played.folder / "undone").read_text() == "one\nouter\n"
    assert "failed on a" in str(played.report.error)


def test_a_host_that_cannot_be_reached_is_named_with_what_to_do_when_it_is_gone_for_good(
    play: Play,
) -> None:
    played = play(
        """
        - hosts: a:gone
          tasks: [{name: one, command: "true"}]
        """,
        strict=True,
    )
    assert played.code == 4
    assert played.report.error is not None
    (problem,) = played.report.error.problems
    assert "gone" in problem.message
    assert str(problem.hint).endswith("if it is gone for good: take it out of the inventory")


BEGUN = """
    - hosts: a
      gather_facts: false
      tasks:
        - name: one
          shell: "echo on >>{{ work }}/state"
          rollback: [{name: undo one, shell: "echo off >>{{ work }}/state"}]
"""


@pytest.mark.parametrize(
    "wrong",
    [
        "hosts: '{{ nothing }}'",
        "{hosts: a, serial: '{{ nothing }}'}",
        "{hosts: a, serial: '{{ word }}'}",
        "{hosts: a, max_fail_percentage: '{{ word }}'}",
        "{hosts: a, vars_files: ['{{ word }}.yml']}",
        "{hosts: a, gather_facts: false, tasks: [{ping: , run_once: '{{ nothing }}'}]}",
        "{hosts: a, gather_facts: false, tasks: [{shell: 'true', notify: '{{ nothing }}'}]}",
    ],
)
def test_an_error_in_the_text_of_a_later_play_undoes_what_was_begun(play: Play, wrong: str) -> None:
    played = play(f"{BEGUN}    - {wrong}\n", files={"from-all.yml": "- no mapping"})
    assert (played.folder / "state").read_text() == "on\noff\n"
    assert played.code == 3
    assert str(played.report.error).endswith(". Everything that was begun was undone")


def test_an_error_after_something_that_nothing_undoes_says_how_to_go_on(play: Play) -> None:
    played = play(f"{BEGUN.partition('rollback')[0]}\n    - hosts: '{{{{ nothing }}}}'\n")
    assert played.code == 1
    assert played.report.error is not None
    assert f"`nbops resume {played.run}` goes on" in str(played.report.error.problems[-1].hint)


def test_an_error_before_the_place_where_a_run_stood_undoes_no_part_of_it(
    play: Play, tmp_path: Path
) -> None:
    text = f"""{BEGUN}
    - hosts: a
      gather_facts: false
      vars_files: ["{{{{ word }}}}.yml"]
      tasks:
        - name: two
          shell: |
            echo two >>{{{{ work }}}}/state
            until [ -e {{{{ work }}}}/go ]; do sleep 0.05; done
          rollback: [{{name: undo two, shell: "echo not two >>{{{{ work }}}}/state"}}]
"""
    stop, state = Stop(), tmp_path / "state"

    def watch() -> None:
        while not state.exists() or len(state.read_text().splitlines()) < 2:
            time.sleep(0.02)
        stop.set()

    watching = threading.Thread(target=watch)
    watching.start()
    run = play(text, stop=stop, files={"from-all.yml": "a: 1"}).run
    watching.join()
    played = play(text, again=run, files={"from-all.yml": "no mapping"})
    (tmp_path / "go").touch()
    assert played.code == 1
    assert played.report.error is not None
    assert f"`nbops abort {run}` undoes it" in str(played.report.error.problems[-1].hint)
    assert state.read_text() == "on\ntwo\n"


ELSEWHERE = f"""{BEGUN}
    - hosts: b
      gather_facts: false
      tasks: [{{name: two, shell: "echo on >>{{{{ work }}}}/elsewhere"}}]
"""


@pytest.mark.parametrize("record", [None, "", "no number"])
def test_a_record_of_the_lock_that_tells_nothing_is_a_failure_that_is_undone(
    play: Play, tmp_path: Path, record: str | None
) -> None:
    fences = {host: Fence(str(tmp_path / host), 3) for host in "ab"}
    (tmp_path / "a").write_text("3\nheld\n")
    if record is not None:
        (tmp_path / "b").write_text(record)
    played = play(ELSEWHERE, fences=fences)
    assert played.code == 3, played.report
    assert "is gone or cannot be read" in str(played.report.error)
    assert (tmp_path / "state").read_text() == "on\noff\n"
    assert not (tmp_path / "elsewhere").exists()


def test_a_host_that_a_newer_run_has_ends_this_one_for_good(play: Play, tmp_path: Path) -> None:
    fences = {host: Fence(str(tmp_path / host), 3) for host in "ab"}
    (tmp_path / "a").write_text("3\nheld\n")
    (tmp_path / "b").write_text("4\nheld\n")
    played = play(ELSEWHERE, fences=fences)
    assert played.code == 1
    assert "a newer run holds this host" in str(played.report.error)
    assert (tmp_path / "state").read_text() == "on\n"
