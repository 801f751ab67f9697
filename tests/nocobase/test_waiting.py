from __future__ import annotations

import pytest

from nbops.nocobase.health import Health, HealthReport
from nbops.nocobase.runtimes.api import NodeState, Start
from nbops.nocobase.waiting import Verdict, Wait, looks_needed

RUNS = NodeState(there=True, running=True)
UP = HealthReport(Health.UP)
SILENT = HealthReport(Health.SILENT)
V = "2.2.15"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def wait_for(clock: Clock, silence: float = 900, limit: float = 14400) -> Wait:
    return Wait(V, silence, limit, clock)


def test_a_healthy_node_of_the_right_version_is_ready() -> None:
    assert wait_for(Clock()).look(RUNS, UP, V) is Verdict.READY


def test_the_apps_own_words_are_the_reason_to_go_on() -> None:
    wait = wait_for(Clock())
    assert wait.look(RUNS, HealthReport(Health.STARTING, "load plugin"), None) is Verdict.WAIT
    assert wait.reason == "load plugin"


def test_a_node_whose_process_has_ended_is_hopeless_at_once() -> None:
    wait = wait_for(Clock())
    ended = NodeState(there=True, exit_code=137, trouble="out of memory")
    assert wait.look(ended, SILENT, None) is Verdict.HOPELESS
    assert wait.reason == "it has ended with status 137 (out of memory)"


def test_a_node_that_starts_again_and_again_is_hopeless() -> None:
    wait = wait_for(Clock())
    looping = NodeState(there=True, running=True, restarts=3)
    assert wait.look(looping, SILENT, None) is Verdict.HOPELESS


def test_a_database_that_is_away_for_a_moment_is_waited_for() -> None:
    clock = Clock()
    wait = wait_for(clock)
    broken = HealthReport(Health.BROKEN, "Unable to connect to the database")
    assert wait.look(RUNS, broken, None) is Verdict.WAIT
    clock.seconds = 20
    assert wait.look(RUNS, SILENT, None) is Verdict.WAIT
    clock.seconds = 60
    assert wait.look(RUNS, broken, None) is Verdict.WAIT


def test_a_broken_app_that_stays_broken_is_hopeless() -> None:
    clock = Clock()
    wait = wait_for(clock)
    broken = HealthReport(Health.BROKEN, "Unable to connect to the database")
    wait.look(RUNS, broken, None)
    clock.seconds = 50
    assert wait.look(RUNS, broken, None) is Verdict.HOPELESS
    assert wait.reason == "broken: Unable to connect to the database"


def test_a_migration_may_last_as_long_as_something_moves() -> None:
    clock = Clock()
    wait = wait_for(clock, silence=100)
    for step in range(50):
        clock.seconds += 90
        moving = HealthReport(Health.STARTING, f"step {step}")
        assert wait.look(RUNS, moving, None) is Verdict.WAIT


def test_a_migration_in_which_nothing_moves_is_hopeless_in_the_end() -> None:
    clock = Clock()
    wait = wait_for(clock, silence=100)
    still = HealthReport(Health.STARTING, "step 1")
    wait.look(RUNS, still, None)
    clock.seconds = 101
    assert wait.look(RUNS, still, None) is Verdict.HOPELESS
    assert "nothing has moved for 101 s; the last was: step 1" in wait.reason


def test_every_wait_has_an_end() -> None:
    clock = Clock()
    wait = wait_for(clock, silence=100, limit=150)
    verdicts = []
    for step in range(4):
        verdicts.append(wait.look(RUNS, HealthReport(Health.STARTING, f"step {step}"), None))
        clock.seconds += 60
    assert verdicts[-1] is Verdict.HOPELESS


def test_an_old_process_that_answers_for_a_moment_is_no_failure() -> None:
    clock = Clock()
    wait = wait_for(clock)
    assert wait.look(RUNS, UP, "2.2.14") is Verdict.WAIT
    clock.seconds = 2
    assert wait.look(RUNS, UP, V) is Verdict.READY


def test_a_wrong_version_that_stays_is_hopeless() -> None:
    clock = Clock()
    wait = wait_for(clock)
    wait.look(RUNS, UP, "2.2.14")
    clock.seconds = 16
    assert wait.look(RUNS, UP, "2.2.14") is Verdict.HOPELESS
    assert wait.reason == "it serves 2.2.14, not 2.2.15"


def test_several_processes_are_ready_when_looks_in_a_row_say_so() -> None:
    wait = Wait(V, 900, 14400, Clock(), steady=3)
    starting = HealthReport(Health.STARTING, "load plugin")
    seen = [wait.look(RUNS, health, V) for health in (UP, UP, starting, UP, UP)]
    assert set(seen) == {Verdict.WAIT}
    assert wait.promising
    assert wait.look(RUNS, UP, V) is Verdict.READY


@pytest.mark.parametrize(
    ("health", "seconds", "reason"),
    [
        (HealthReport(Health.BROKEN, "Record has changed"), 45, "broken: Record has changed"),
        (
            HealthReport(Health.STARTING, "load plugin"),
            100,
            "nothing has moved for 100 s; the last was: load plugin",
        ),
    ],
)
def test_one_of_several_processes_that_does_not_come_up_is_hopeless(
    health: HealthReport, seconds: float, reason: str
) -> None:
    clock = Clock()
    wait = Wait(V, 100, 14400, clock, steady=4)
    while wait.look(RUNS, UP, V) and wait.look(RUNS, health, None) is Verdict.WAIT:
        clock.seconds += 1
    assert (clock.seconds, wait.reason) == (seconds, reason)


def test_each_process_is_met_twice() -> None:
    assert looks_needed(None, Start.NODE) == 1
    assert looks_needed(2, Start.NODE) == 4
    assert looks_needed("max", Start.NODE) > 8
    assert looks_needed(4, Start.FIRST) == 1
