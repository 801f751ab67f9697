"""The web page of a run: what it tells, and what it lets through."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from nbops.base.clean import clean
from nbops.base.events import Event, PhaseStarted, RunEnded, Status, StepEnded, TaskStarted
from nbops.journal.read import PastRun
from nbops.report import html
from tests.report import report_events as told

BLOCKS = {
    *[
        "div",
        "p",
        "li",
        "dt",
        "dd",
        "h1",
        "h2",
        "h3",
        "h4",
        "td",
        "th",
        "tr",
        "pre",
        "summary",
        "section",
        "title",
        "footer",
    ]
}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"


class Reader(HTMLParser):
    """What a browser makes of a page: elements, attributes, text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.styles: list[str] = []
        self._open = ""
        self.feed(page)
        self.close()

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    def having(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for element, attributes in self.elements if element == name]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag in BLOCKS:
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        (self.styles if self._open == "style" else self.pieces).append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = ""


def past(**fields: object) -> PastRun:
    known: dict[str, object] = {
        "run": "R1",
        "command": "deploy",
        "cluster": "demo",
        "operator": "ann@desk",
        "inventory": "/home/ann/inventory.yml",
        "runbook": "/home/ann/deploy.yml",
        "plan_hash": "",
        "number": 7,
        "started_at": 0.0,
        "ended_at": 20.0,
        "exit_code": 0,
        "message": "",
    }
    return PastRun(**{**known, **fields})  # type: ignore[arg-type]


def page_of(
    events: Sequence[Event],
    not_undone: Sequence[tuple[str, str]] = (),
    **fields: object,
) -> Reader:
    return Reader(html.page(past(**fields), events, not_undone=not_undone))


def one_step(**fields: object) -> list[Event]:
    """A run of one task on one host."""
    step = told.ended("Work", "node1", **fields)  # type: ignore[arg-type]
    return [told.started(), told.task("Work", ("node1",)), step]


def test_it_says_what_was_run_by_whom_when_and_how_it_ended() -> None:
    page = page_of(told.good_run(), message="NocoBase 2.2.15 serves at http://198.18.0.2")
    for words in ("deploy of demo", "done", "ann@desk", "Exit code 0", "number 7"):
        assert words in page.text
    began, ended, *_ = (one["datetime"] for one in page.having("time"))
    assert datetime.fromisoformat(str(began)) == datetime.fromtimestamp(0, UTC)
    assert datetime.fromisoformat(str(ended)) == datetime.fromtimestamp(20, UTC)
    assert "/home/ann/inventory.yml" in page.text
    assert "NocoBase 2.2.15 serves at http://198.18.0.2" in page.text


def test_it_tells_phases_steps_and_hosts_with_their_times() -> None:
    page = page_of(told.good_run())
    assert re.search(r"prepare \d\d:\d\d:\d\d 0\.0 s", page.text)
    assert "start" in page.text
    assert "● changed Write the environment" in page.text
    assert "● changed · node1" in page.text
    assert "✓ ok · node2, node3" in page.text
    assert "Start the first node 14 s" in page.text.replace(" · ", " ")


def test_the_recap_has_a_row_for_every_host() -> None:
    recap = told.over({"node1": {"ok": 3, "failed": 1}, "node2": {"unreachable": 2}})
    page = page_of([told.started(), recap])
    assert "node1 3 0 0 1 0 0 0" in page.text
    assert "node2 0 0 2 0 0 0 0" in page.text


def test_the_503_time_is_told_with_its_parts() -> None:
    events = [
        told.started(),
        told.maintenance("lb1", on=True, time=10),
        told.maintenance("lb2", on=True, time=11),
        told.maintenance("lb1", on=False, time=40),
        told.maintenance("lb2", on=False, time=42),
        told.over({}, seconds=50),
    ]
    page = page_of(events, ended_at=50.0)
    assert "503 for 32 s" in page.text
    assert "(30 s); at lb2" in page.text
    assert "(31 s)." in page.text
    bars = [one for one in page.having("rect") if one["class"] == "stands" and "y" in one]
    assert [(one["x"], one["width"]) for one in bars] == [
        ("200.00", "600.00"),
        ("220.00", "620.00"),
    ]


def verified(version: str) -> Event:
    verify = "nocobase_verify"
    return told.ended("Look", "node1", action=verify, result={"version": version}, time=5)


def test_what_serves_after_a_good_run_is_what_was_verified_last() -> None:
    page = page_of([told.started(), verified("2.2.15"), verified("2.2.16"), told.over({})])
    assert "NocoBase 2.2.16 serves." in page.text


def test_nothing_serves_while_the_503_page_stands_and_nothing_new_after_a_check() -> None:
    behind = [told.started(), told.maintenance("lb", on=True), verified("2.2.16"), told.over({})]
    assert "serves." not in page_of(behind).text
    assert "serves." not in page_of([told.started(check=True), verified("2.2.16")]).text


def test_a_503_that_stands_is_said_loudly() -> None:
    events = [told.started(), told.maintenance("lb", on=True, time=10), told.over({}, seconds=50)]
    page = page_of(events, exit_code=6)
    assert "503 for 40 s, and it stands" in page.text


def test_each_phase_has_its_part_of_the_503_time() -> None:
    events: list[Event] = [
        told.started(),
        told.phase("prepare"),
        PhaseStarted(time=5, phase="backup"),
        told.maintenance("lb", on=True, time=6),
        PhaseStarted(time=16, phase="traffic"),
        told.maintenance("lb", on=False, time=20),
        told.over({}, seconds=21),
    ]
    page = page_of(events)
    assert re.search(r"prepare \S+ 5\.0 s – 0", page.text)
    assert re.search(r"backup \S+ 11 s 10 s 0", page.text)
    assert re.search(r"traffic \S+ 5\.0 s 4\.0 s 0", page.text)


def failed_run() -> list[Event]:
    """An earlier failure is rescued; a later one ends the run, and is rolled back."""
    back = "Put it back"
    return [
        told.started(),
        told.task("Try"),
        told.ended("Try", "node1", "failed", message="rescued later"),
        told.task("Migrate"),
        told.ended(
            "Migrate",
            "node2",
            "failed",
            time=9,
            message="no such table",
            attempt=3,
            result={"rc": 4, "stderr": "relation is missing", "stdout": "migrating"},
        ),
        told.phase("rollback"),
        TaskStarted(time=10, step=back, task=back, action="x", hosts=("node2",), phase="rollback"),
        told.ended(back, "node2", "changed", time=12),
        told.note("NocoBase 2.2.15 serves as before", "info"),
        RunEnded(
            time=12, run="R1", exit_code=3, seconds=12, recap={}, hint="look at the migration"
        ),
    ]


def test_the_failure_that_ended_the_run_stands_first_with_its_hint() -> None:
    page = page_of(failed_run(), exit_code=3, message="`Migrate` failed on node2: no such table")
    first = page.text.split("Run R1")[0]
    for words in (
        "failed and rolled back",
        "Migrate failed on node2",
        "attempt 3",
        "exit status 4",
        "relation is missing",
        "What to do: look at the migration",
    ):
        assert words in first
    assert "rescued later" not in first


def test_what_failed_is_unfolded_and_what_went_well_is_not() -> None:
    events = [*failed_run()[:5], told.task("Fine"), told.ended("Fine", "node1")]
    page = page_of(events, exit_code=1)
    tasks = [one for one in page.having("details") if one.get("class") == "task"]
    assert ["open" in one for one in tasks] == [True, True, False]


def test_what_was_rolled_back_has_a_list_of_its_own() -> None:
    page = page_of(failed_run(), exit_code=3)
    assert "What was rolled back ● changed Put it back · node2 2.0 s" in page.text


def test_what_is_not_undone_is_named_by_its_task_or_its_place() -> None:
    page = page_of(failed_run(), [("Migrate", "node2"), ("6.0", "node1")], exit_code=6)
    assert "Not undone yet Migrate on node2 the block at 6.0 of the plan on node1" in page.text


def test_a_good_run_has_no_failure_card_though_a_step_was_rescued() -> None:
    page = page_of(failed_run()[:3])
    assert "failed on" not in page.text


def test_a_run_without_an_end_says_how_far_it_came_and_what_can_be_done() -> None:
    start = "Start"
    events = [
        told.started(),
        told.task(start),
        told.progress(start, "node1", "load plugin 60/77"),
        told.ended(start, "node2"),
    ]
    page = page_of(events, ended_at=None, exit_code=None)
    assert "not ended" in page.text
    assert "nbops resume R1" in page.text
    assert "no end · node1 load plugin 60/77" in page.text


def test_a_resumed_run_is_told_to_its_last_end() -> None:
    first = [told.started(), told.task("One"), told.ended("One", "node1"), told.over({"a": {}})]
    again = [told.started(), told.task("Two"), told.ended("Two", "node1"), told.over({"b": {}})]
    page = page_of([*first, *again])
    assert "One" in page.text
    assert "Two" in page.text
    assert "b 0 0 0" in page.text
    assert "a 0 0 0" not in page.text


def test_changes_and_output_are_folded_in() -> None:
    events = one_step(status="changed", diff="-old\n+new\n", result={"stdout": "said", "port": 80})
    page = page_of(events)
    spans = [one.get("class") for one in page.having("span")]
    assert "removed" in spans
    assert "added" in spans
    for words in ("difference", "said", '"port": 80'):
        assert words in page.text


def test_hosts_of_which_the_same_is_to_be_told_share_a_row() -> None:
    hosts = tuple(f"node{number}" for number in range(1, 1001))
    steps = [
        told.ended("All", host, result={"stdout": "same"}, seconds=number / 100)
        for number, host in enumerate(hosts)
    ]
    page = page_of([told.started(hosts), told.task("All", hosts), *steps])
    assert page.text.count("same") == 1
    assert "node999, node1000 · 0.0 s to 10 s" in page.text


def test_each_item_of_a_loop_is_told_and_not_once_more_as_a_whole() -> None:
    events: list[Event] = [
        told.started(),
        told.task("Loop", ("node1",)),
        told.ended("Loop", "node1", "changed", item="a"),
        told.ended("Loop", "node1", "ok", item="b"),
        told.ended("Loop", "node1", "changed", message="All items", result={"results": [1, 2]}),
    ]
    page = page_of(events)
    assert "node1 [a]" in page.text
    assert "node1 [b]" in page.text
    assert "All items" not in page.text


@pytest.mark.parametrize("place", ["host", "task", "message", "stdout", "diff", "item", "play"])
def test_nothing_that_a_host_or_a_runbook_wrote_becomes_markup(place: str) -> None:
    values = {"host": "node1", "task": "Work", place: HOSTILE}
    step = StepEnded(
        time=1,
        step="0",
        task=values["task"],
        action="command",
        host=values["host"],
        status=Status.FAILED,
        seconds=1,
        item=values.get("item"),
        message=values.get("message", ""),
        result={"stdout": values.get("stdout", ""), values.get("stdout", "key"): "value"},
        diff=values.get("diff", ""),
    )
    events = [
        told.started((values["host"],)),
        told.play(values.get("play", "Play")),
        TaskStarted(
            time=0, step="0", task=values["task"], action="command", hosts=(values["host"],)
        ),
        step,
        told.note(values.get("message", "x"), hint=values.get("message", ""), host=values["host"]),
        told.maintenance(values["host"], on=True),
        told.over({values["host"]: {"failed": 1}}, exit_code=1),
    ]
    page = page_of(events, exit_code=1, message=values.get("message", ""))
    _harmless(page)
    assert HOSTILE in page.text or place == "item"  # a long item is cut


def test_what_the_journal_says_of_the_run_becomes_no_markup_either() -> None:
    names = ("run", "command", "cluster", "operator", "inventory", "runbook", "message")
    page = page_of([told.phase(HOSTILE)], exit_code=1, **dict.fromkeys(names, HOSTILE))
    _harmless(page)
    assert page.text.count(HOSTILE) >= len(names)


def _harmless(page: Reader) -> None:
    known = set(re.findall(r"<([a-z][a-z0-9]*)", (html._FOLDER / "page.html").read_text()))
    assert {element for element, _ in page.elements} <= known
    assert not known & {"script", "img", "iframe", "link", "a", "form", "object"}
    for _, attributes in page.elements:
        assert not {one for one in attributes if one.startswith("on")} - {"on"}
        assert not {"src", "href", "style", "srcdoc"} & set(attributes)


def test_the_browser_may_show_the_style_of_the_page_and_nothing_else() -> None:
    page = page_of(told.good_run())
    (policy,) = (
        one["content"] for one in page.having("meta") if one.get("http-equiv", "").startswith("Con")
    )
    (style,) = page.styles
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize(
    "output",
    ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07red", "red\x00\x08", "\u202ered\u2066", "\x9b1mred"],
)
def test_control_sequences_do_not_reach_the_page(output: str) -> None:
    events = one_step(status="failed", message=output, result={"stdout": output}, diff=f"+{output}")
    text = html.page(past(exit_code=1, message=output, operator=output), events)
    assert "red" in text
    assert clean(text) == text
    assert "title" not in Reader(text).text.replace("deploy", "")


def test_half_letters_of_a_host_are_written_as_such() -> None:
    events = one_step(status="failed", message="caf\udce9", result={"stdout": "\ud800x"})
    text = html.page(past(exit_code=1), events)
    assert "caf\ufffd" in text.encode("utf-8").decode("utf-8")


def test_the_end_of_a_huge_output_is_shown_and_the_rest_named() -> None:
    output = "".join(f"line {number}\n" for number in range(1_000_000))
    text = html.page(past(), one_step(result={"stdout": output}))
    assert len(text) < 100_000
    assert "line 999999" in text
    left_out = len(output.rstrip()) - html.LONGEST
    assert f"({left_out:,} letters before this left out; nbops show R1 --json has all)" in (
        Reader(text).text
    )


def test_a_page_of_many_outputs_stays_one_that_a_browser_opens() -> None:
    hosts = tuple(f"node{number}" for number in range(400))
    steps = [told.ended("All", one, result={"stdout": one * 10_000}) for one in hosts]
    text = html.page(past(), [told.started(hosts), told.task("All", hosts), *steps])
    assert len(text) < html.MOST + 1_000_000
    assert "node399" in text


def test_a_run_of_which_nothing_is_known_but_its_name_has_a_page() -> None:
    page = page_of([], ended_at=None, exit_code=None)
    assert "No step was begun." in page.text
