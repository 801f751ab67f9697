"""What a check shows: by host, the worst first, and what is fine."""

from __future__ import annotations

from typing import Any

from nbops.base.events import Event, RunEnded, RunStarted, Status, StepEnded
from nbops.report.check import CheckObserver


def finding(host: str, level: str, what: str, remedy: str = "") -> dict[str, str]:
    return {"host": host, "level": level, "what": what, "remedy": remedy}


def ended(host: str, status: Status = Status.OK, **parts: Any) -> StepEnded:
    base = {"step": "1", "task": "Look", "action": "nocobase_preflight", "seconds": 0.1}
    return StepEnded(host=host, status=status, **(base | parts))


def seen(*events: Event) -> tuple[CheckObserver, list[str]]:
    said: list[str] = []
    observer = CheckObserver(said.append)
    hosts = ["node1", "node2", "lb"]
    start = RunStarted(run="r", command="check", cluster="demo", hosts=hosts)
    end = RunEnded(run="r", exit_code=0, seconds=1.25, recap={})
    for event in (start, *events, end):
        observer.on_event(event)
    return observer, said


def text(observer: CheckObserver) -> str:
    return "\n".join(one.text for one in observer.lines())


def test_nothing_found_is_said_in_one_line_and_exit_0() -> None:
    observer, said = seen(*(ended(host) for host in ("node1", "node2", "lb")))
    assert observer.exit_code == 0
    assert "nothing to say of: node1, node2, lb" in text(observer)
    assert "nothing stands in the way (looked at 3 hosts in 1.2 s)" in text(observer)
    assert said[-1] == "3 of 3 hosts looked at"


def test_findings_stand_under_their_host_with_what_to_do() -> None:
    found = [
        finding("node2", "problem", "port 13000 is taken", "stop it"),
        finding("node2", "warning", "memory is tight"),
    ]
    observer, _ = seen(ended("node2", Status.FAILED, result={"findings": found}))
    assert text(observer).splitlines() == [
        "node2",
        "  problem  port 13000 is taken",
        "           → stop it",
        "  warning  memory is tight",
        "",
        "nothing to say of: node1, lb",
        "",
        "1 problem in the way, 1 warning (looked at 3 hosts in 1.2 s)",
    ]
    assert observer.exit_code == 1


def test_warnings_alone_stand_in_nobodys_way() -> None:
    observer, _ = seen(ended("lb", result={"findings": [finding("lb", "warning", "w")]}))
    assert observer.exit_code == 0
    assert "nothing stands in the way; 1 warning" in text(observer)


def test_a_host_that_cannot_be_used_is_told_and_exit_4() -> None:
    observer, _ = seen(
        ended("lb", Status.UNREACHABLE, message="lb: nothing listens at 10.0.0.3:22"),
        ended("node1", Status.FAILED, result={"findings": [finding("node1", "problem", "p")]}),
    )
    assert observer.exit_code == 4
    assert "  problem  cannot be used: lb: nothing listens at 10.0.0.3:22" in text(observer)
    assert observer.document()["unusable"] == ["lb"]


def test_a_check_of_the_users_own_that_fails_is_a_problem() -> None:
    own = ended("node1", Status.FAILED, task="Is the licence paid?", action="assert", message="no")
    observer, _ = seen(own)
    assert "  problem  Is the licence paid?: no" in text(observer)
    assert observer.exit_code == 1


def test_findings_that_are_only_texts_are_problems() -> None:
    texts = ended("lb", Status.IGNORED, action="database_check", result={"findings": ["no room"]})
    observer, _ = seen(texts)
    assert "  problem  no room" in text(observer)
    assert observer.exit_code == 1


def test_what_hosts_say_cannot_write_to_the_terminal() -> None:
    evil = finding("lb", "problem", "taken by \x1b]0;x\x07`y`\nmore", "do\x1b[2Jthis")
    observer, _ = seen(ended("lb", Status.FAILED, result={"findings": [evil]}))
    shown = text(observer)
    assert "\x1b" not in shown
    assert "taken by `y`" in shown
    assert "           more" in shown


def test_the_document_holds_everything() -> None:
    found = finding("lb", "problem", "p", "r")
    observer, _ = seen(ended("lb", Status.FAILED, result={"findings": [found]}))
    assert observer.document() == {
        "cluster": "demo",
        "hosts": ["node1", "node2", "lb"],
        "unusable": [],
        "problems": 1,
        "warnings": 0,
        "findings": [found],
        "exit_code": 1,
        "seconds": 1.25,
    }
