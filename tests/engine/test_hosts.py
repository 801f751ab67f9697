"""What is told of the hosts because of which a run failed."""

from nbops.engine.hosts import Hosts


def hosts_with(**failures: tuple[str, str]) -> Hosts:
    hosts = Hosts(["n1", "n2", "n3"])
    for name, failure in failures.items():
        hosts[name].failure = failure
    return hosts


def test_the_task_and_the_first_line_of_its_reason_are_told() -> None:
    hosts = hosts_with(n1=("Wait", "it ended\n  the last lines of its log:\n    x"))
    assert hosts.why_lost({"n1"}) == "`Wait` failed on n1: it ended"


def test_hosts_that_failed_alike_share_a_reason() -> None:
    hosts = hosts_with(n1=("Pull", "no room"), n2=("Pull", "no room here either"), n3=("Stop", ""))
    told = "`Pull` failed on n1, n2: no room; `Stop` failed on n3"
    assert hosts.why_lost({"n3", "n2", "n1"}) == told


def test_who_only_failed_with_another_host_is_not_blamed() -> None:
    hosts = hosts_with(n2=("Dump", "refused"))
    assert hosts.why_lost({"n1", "n2", "n3"}) == "`Dump` failed on n2: refused"
    assert hosts_with().why_lost({"n1", "n3"}) == "failed on n1, n3"
