"""The plain report, held against the text that it prints."""

import io
from typing import Any

from nbops.base.events import Event
from nbops.lab.events import LabStep
from nbops.report.plain import PlainObserver
from tests.report.report_events import (
    NODES,
    ended,
    good_run,
    maintenance,
    note,
    over,
    phase,
    play,
    progress,
    started,
    task,
)


def shown(*events: Event, verbosity: int = 0) -> list[str]:
    stream = io.StringIO()
    observer = PlainObserver(stream, verbosity=verbosity)
    for event in events:
        observer.on_event(event)
    observer.close()
    return stream.getvalue().splitlines()


def test_a_good_run_reads_quietly() -> None:
    assert shown(*good_run()) == [
        "deploy: demo, 3 hosts, run R1",
        "",
        "PHASE prepare",
        "",
        "PLAY Nodes (node1, node2, node3)",
        "TASK Write the environment",
        "  changed      node1",
        "  ok           node2, node3",
        "",
        "PHASE start",
        "TASK Start the first node",
        "  node1: load plugin [ai], 1/77",
        "  node1: load plugin [map], 60/77",
        "  changed      node1 (14 s)",
        "",
        "RECAP",
        "node1 : ok=2   changed=2   unreachable=0   failed=0   skipped=0   rescued=0   ignored=0",
        "node2 : ok=1   changed=0   unreachable=0   failed=0   skipped=0   rescued=0   ignored=0",
        "node3 : ok=1   changed=0   unreachable=0   failed=0   skipped=0   rescued=0   ignored=0",
        "",
        "deploy: done in 15 s, 2 changes on 1 host",
        "  NocoBase 2.2.15 serves at http://198.18.0.2",
    ]


def last(recap: dict[str, dict[str, int]], *before: Event, **fields: Any) -> str:
    return shown(*before, over(recap, **fields))[-1]


def test_a_run_without_changes_says_so_plainly() -> None:
    assert last({"node1": {"ok": 9}}, started(), seconds=3) == (
        "deploy: done in 3.0 s, nothing changed"
    )


def test_a_check_says_what_would_be() -> None:
    check = started(check=True)
    assert "check: nothing will be changed" in shown(check)
    assert last({"node1": {"changed": 2}}, check).endswith("2 changes on 1 host would be made")
    assert last({"node1": {"ok": 2}}, check).endswith("nothing would change")


def test_a_failure_names_the_hosts_and_the_exit_code() -> None:
    recap = {"node1": {"failed": 1}, "node2": {"ok": 1}, "node3": {"unreachable": 1}}
    assert last(recap, started(), exit_code=1, seconds=64) == (
        "deploy: failed on node1, node3, after 1 min 4 s (exit 1)"
    )


def test_each_exit_code_has_its_words() -> None:
    ends = {code: last({}, exit_code=code) for code in (2, 3, 4, 5, 6, 130)}
    assert ends == {
        2: "run: refused, after 0.0 s (exit 2)",
        3: "run: failed and rolled back, after 0.0 s (exit 3)",
        4: "run: some hosts cannot be used, after 0.0 s (exit 4)",
        5: "run: locked by another run, after 0.0 s (exit 5)",
        6: "run: failed, and the way back failed too, after 0.0 s (exit 6)",
        130: "run: interrupted, after 0.0 s (exit 130)",
    }


def test_a_failure_shows_what_the_command_wrote() -> None:
    result = {"rc": 2, "stdout": "one\ntwo\n", "stderr": "\x1b[31mno such file\x1b[0m\nat all"}
    failed = ended(
        "Copy", "node2", "failed", message="non-zero return code", result=result, seconds=12
    )
    assert shown(task("Copy", ("node2",)), failed) == [
        "TASK Copy",
        "  failed       node2 (12 s): non-zero return code",
        "      exit status 2",
        "      stdout:",
        "        | one",
        "        | two",
        "      stderr:",
        "        | no such file",
        "        | at all",
    ]


def test_of_much_output_the_last_forty_lines_are_shown_and_all_with_vv() -> None:
    text = "\n".join(f"line {number}" for number in range(100))
    failed = ended("Run", "node1", "failed", result={"stdout": text})
    few = shown(failed)
    assert "        | (60 lines before; -vv shows all)" in few
    assert "        | line 99" in few
    assert "        | line 59" not in few
    assert any(row.endswith("| line 0") for row in shown(failed, verbosity=2))


def test_a_message_of_several_lines_is_shown_in_full() -> None:
    rows = shown(ended("Run", "node1", "failed", message="first\nsecond"))
    assert rows == ["  failed       node1: first second", "      first", "      second"]


def test_attempts_are_told_when_there_was_more_than_one() -> None:
    assert shown(ended("Wait", "node1", "failed", attempt=3)) == [
        "  failed       node1 (attempt 3)"
    ]


def test_a_failure_that_was_ignored_still_stands_out() -> None:
    rows = shown(task("Try"), ended("Try", "node1", "ignored", message="no"))
    assert rows[1] == "  ignored      node1: no"


def test_differences_are_shown_under_their_host() -> None:
    changed = ended("Write", "node1", "changed", diff="--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n")
    assert shown(task("Write", ("node1",)), changed)[1:] == [
        "  changed      node1",
        "      --- a",
        "      +++ b",
        "      @@ -1 +1 @@",
        "      -old",
        "      +new",
    ]


def test_debug_is_always_heard() -> None:
    rows = shown(
        ended("Say", "node1", action="debug", message="two\nlines", result={"msg": "two\nlines"}),
        ended("Say", "node1", action="debug", result={"msg": ["a", "b"]}),
        ended("Say", "node1", action="debug", result={"groups": {"all": ["node1"]}}),
    )
    assert [row.strip() for row in rows if row.startswith("      ")] == [
        "two",
        "lines",
        "a",
        "b",
        'groups: {"all": ["node1"]}',
    ]


def test_progress_is_told_when_it_changed_and_not_more_than_every_five_seconds() -> None:
    def waiting(time: float, message: str) -> Event:
        return progress("Wait", "node1", message, time=time)

    rows = shown(
        task("Wait", ("node1",)),
        waiting(0, "1/77"),
        waiting(1, "2/77"),
        waiting(6, "1/77"),
        waiting(7, "9/77"),
        waiting(8, "10/77"),
        waiting(13, "11/77"),
    )
    assert rows == ["TASK Wait", "  node1: 1/77", "  node1: 9/77", "  node1: 11/77"]


def test_a_hundred_hosts_do_not_flood() -> None:
    hosts = tuple(f"node{number}" for number in range(100))
    results = [ended("Write", host, "changed" if host != "node7" else "ok") for host in hosts]
    assert shown(task("Write", hosts), *results) == [
        "TASK Write",
        "  ok           node7",
        "  changed      99 hosts",
    ]


def test_of_a_hundred_hosts_the_one_that_failed_stands_by_itself() -> None:
    hosts = tuple(f"node{number}" for number in range(100))
    results = [ended("Write", host, "failed" if host == "node7" else "ok") for host in hosts]
    assert shown(task("Write", hosts), *results)[1:] == [
        "  failed       node7",
        "  ok           99 hosts",
    ]


def test_items_of_a_loop_are_told_once() -> None:
    rows = shown(
        task("Make", ("node1", "node2")),
        ended("Make", "node1", "changed", item="a"),
        ended("Make", "node1", "ok", item="b"),
        ended("Make", "node1", "changed", result={"results": []}),
        ended("Make", "node2", "ok", item={"name": "a"}),
        ended("Make", "node2", "ok", result={"results": []}),
    )
    assert rows == ["TASK Make", "  changed      node1 [a]", "  ok           node2"]


def test_a_delegated_step_names_both_hosts() -> None:
    assert shown(ended("Drain", "node1", "failed", delegate="lb")) == ["  failed       node1 -> lb"]


def test_notes_stand_out_by_their_level() -> None:
    assert shown(
        note("adapters are missing", hint="install the plugins", host="node1"),
        note("cannot release the lock", "error"),
        note("cached", "info"),
    ) == [
        "WARNING: adapters are missing (node1)",
        "  install the plugins",
        "ERROR: cannot release the lock",
        "note: cached",
    ]


def test_the_503_page_is_marked() -> None:
    assert shown(maintenance("lb", on=True), maintenance("lb", on=False)) == [
        "  lb answers 503 from now on",
        "  lb serves again",
    ]


def test_handlers_are_called_so() -> None:
    assert shown(task("Reload", handler=True))[0] == "HANDLER Reload"


def test_with_v_every_line_bears_its_time_and_every_host_its_result() -> None:
    rows = shown(task("Write"), *[ended("Write", host) for host in NODES], verbosity=1)
    assert len(rows) == 4
    assert all(row[2] == ":" and row[5] == ":" and row[8] == " " for row in rows)


def test_the_pieces_of_a_lab_are_told_as_they_come() -> None:
    assert shown(
        LabStep(time=0, name="node1", message="starting"),
        LabStep(time=2, name="node1", message="ready", seconds=2.1),
    ) == ["node1: starting", "node1: ready (2.1 s)"]


def test_hostile_names_and_messages_stay_one_line() -> None:
    evil = "a\x1b[2J\nb\u202e"
    rows = shown(
        phase(evil),
        play(evil),
        task(evil),
        progress(evil, evil, evil),
        ended(evil, evil, "failed", item=evil),
    )
    assert all("\x1b" not in row and "\u202e" not in row for row in rows)
    assert len([row for row in rows if row]) == 5


def test_a_reader_that_went_away_does_not_stop_the_run() -> None:
    class Closed(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    observer = PlainObserver(Closed())
    for event in good_run():
        observer.on_event(event)
    observer.close()


def test_a_signal_handler_may_speak_in_the_middle_of_a_line() -> None:
    class Interrupting(io.StringIO):
        armed = True

        def write(self, text: str) -> int:
            if self.armed:
                self.armed = False
                observer.on_event(note("SIGINT: stopping"))
            return super().write(text)

    stream = Interrupting()
    observer = PlainObserver(stream)
    observer.on_event(started())
    assert stream.getvalue().splitlines() == [
        "deploy: demo, 3 hosts, run R1",
        "WARNING: SIGINT: stopping",
    ]


def test_what_debug_says_is_shown_also_when_it_is_nothing_much() -> None:
    for said, told in ((0, "0"), (False, "false"), ([], "[]")):
        one = ended("Look", "a", action="debug", result={"msg": said})
        assert f"      {told}" in shown(task("Look", ("a",)), one)
