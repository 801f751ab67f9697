"""How the 503 time of a run is told."""

from nbops.base.events import Event, MaintenanceMark, PhaseStarted
from nbops.report.downtime import Downtime


def told(now: float, *events: Event) -> list[str]:
    return [one.text for one in Downtime.of(events).lines(now)]


def phase(name: str, time: float) -> PhaseStarted:
    return PhaseStarted(phase=name, time=time)


def mark(host: str, on: bool, time: float) -> MaintenanceMark:
    return MaintenanceMark(host=host, on=on, time=time)


def test_the_window_is_from_the_first_balancer_to_the_last_with_what_took_it() -> None:
    assert told(
        99,
        phase("prepare", 0),
        phase("maintenance", 10),
        mark("lb2", True, 11),
        mark("lb", True, 12),
        phase("backup", 13),
        phase("upgrade", 16.04),
        phase("verify", 16.05),
        phase("traffic", 20.05),
        mark("lb", False, 21.05),
        mark("lb2", False, 22.05),
        phase("record", 23),
    ) == ["503 for 11 s: maintenance 2.0 s, backup 3.0 s, verify 4.0 s, traffic 2.0 s"]


def test_a_503_that_stands_at_the_end_is_said() -> None:
    events = (phase("maintenance", 1), mark("lb", True, 2))
    assert told(5, *events) == ["503 for 3.0 s, and it stands: maintenance 3.0 s"]


def test_a_run_that_goes_on_counts_from_where_the_page_went_up_before_it_was_interrupted() -> None:
    before = (phase("maintenance", 1), mark("lb", True, 2), mark("lb2", True, 3))
    downtime = Downtime.of(before)
    downtime.take(mark("lb", False, 60))
    assert downtime.began == 2
    downtime.take(mark("lb2", False, 62))
    assert downtime.began is None
    assert [one.text for one in downtime.lines(70)] == ["503 for 1 min: maintenance 1 min"]


def test_nothing_is_told_of_a_run_without_a_503() -> None:
    assert told(5, phase("prepare", 1), mark("lb", False, 2)) == []
