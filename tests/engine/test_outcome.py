from __future__ import annotations

import pytest

from nbops.actions.api import Diff, Result
from nbops.base.events import Status
from nbops.engine.outcome import TaskOutcome, diff_text, of_loop, registered, status_of


def outcome(status: Status, *, changed: bool = False, ignored: bool = False) -> TaskOutcome:
    return TaskOutcome(host="h", status=status, registered={}, changed=changed, ignored=ignored)


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        (outcome(Status.OK), ("ok",)),
        (outcome(Status.CHANGED, changed=True), ("ok", "changed")),
        (outcome(Status.FAILED), ("failed",)),
        (outcome(Status.FAILED, changed=True, ignored=True), ("ok", "ignored", "changed")),
        (outcome(Status.SKIPPED), ("skipped",)),
        (outcome(Status.UNREACHABLE), ("unreachable",)),
    ],
)
def test_the_recap_counts_as_ansible_counts(one: TaskOutcome, counts: tuple[str, ...]) -> None:
    assert one.counts() == counts


def test_a_loop_is_changed_or_failed_when_one_item_is() -> None:
    data = of_loop([{"changed": True, "failed": False}, {"changed": False, "failed": True}])
    assert data["changed"] and data["failed"]
    assert data["msg"] == "One or more items failed"


def test_a_loop_whose_items_were_all_skipped_is_skipped() -> None:
    data = of_loop([{"skipped": True, "changed": False}] * 2)
    assert status_of(data) is Status.SKIPPED


def test_a_loop_over_nothing_is_skipped() -> None:
    data = of_loop([])
    assert data["results"] == []
    assert status_of(data) is Status.SKIPPED


def test_a_result_is_registered_under_the_names_of_ansible() -> None:
    data = registered(Result(changed=True, values={"rc": 0}, msg="done", facts={"a": 1}))
    assert data == {
        "rc": 0,
        "changed": True,
        "failed": False,
        "msg": "done",
        "ansible_facts": {"a": 1},
    }


def test_a_diff_names_both_sides_and_ends_its_lines() -> None:
    text = diff_text(Diff("a\n", "b", before_header="old", after_header="new"))
    assert text.splitlines() == [
        "--- old",
        "+++ new",
        "@@ -1 +1 @@",
        "-a",
        "+b",
        "\\ No newline at end of file",
    ]
    assert diff_text(Diff("same", "same")) == ""
