from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nbops.nocobase import releases
from nbops.nocobase.releases import Release, read_release

RELEASE = Release(
    number=1,
    parent=None,
    version="2.2.15",
    images={"reg/nocobase:2.2.15": "sha256:aa"},
    fingerprint="f",
    who="ann@desk",
    when="2026-11-23T08:47:33Z",
    run="r1",
    files={"node1": {"/opt/x/node.env": "APP_KEY=secret-key\n"}},
)


def test_what_is_written_is_what_is_read() -> None:
    assert read_release(RELEASE.text()) == RELEASE


def test_the_facts_of_a_release_hold_none_of_its_files() -> None:
    assert "secret-key" not in json.dumps(RELEASE.facts())


def test_a_release_shows_none_of_its_files() -> None:
    assert "secret-key" not in repr(RELEASE)


def test_the_same_deployed_again_has_the_same_content() -> None:
    again = replace(RELEASE, number=7, parent=6, who="bob@x", when="later", run="r9")
    assert again.content == RELEASE.content


@pytest.mark.parametrize(
    "change",
    [
        {"version": "3"},
        {"images": {"reg/nocobase:2.2.15": "sha256:bb"}},
        {"files": {}},
        {"fingerprint": "g"},
    ],
)
def test_something_else_deployed_is_another_content(change: dict[str, str]) -> None:
    assert replace(RELEASE, **change).content != RELEASE.content  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 9}'])
def test_what_is_no_release_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_release(text)


def test_only_whole_files_count() -> None:
    names = ["000002.json", "000010.json", "000011.json.nbops-new", "notes", "1.json"]
    assert releases.numbers(names) == [2, 10]


def test_the_present_release_is_the_newest_that_any_host_knows() -> None:
    assert releases.newest([None, {"number": 3}, {"number": 12}, {}]) == {"number": 12}
    assert releases.newest([None, None]) is None


def test_a_release_is_as_old_as_its_run() -> None:
    assert releases.moment("20261123T084733Z-1a2b3c") == "2026-11-23T08:47:33Z"
    assert releases.moment("other") == "other"


def line(*releases_: tuple[str, str]) -> list[dict[str, object]]:
    """Releases 1, 2… each the parent of the next, as version and backup."""
    return [
        {
            "number": number,
            "parent": number - 1 or None,
            "version": version,
            "backup": backup,
            "plugins": [],
            "phase": "",
        }
        for number, (version, backup) in enumerate(releases_, 1)
    ]


def test_the_way_back_goes_to_the_parent_by_the_backup_of_its_data() -> None:
    known = line(("1", ""), ("2", "b2"), ("3", "b3"))
    way = releases.way_back(known, known[-1], None)
    assert (way.target["number"], way.backup) == (2, "b3")


def test_far_back_the_first_backup_after_the_target_is_the_right_one() -> None:
    known = line(("1", ""), ("1", ""), ("2", "b3"), ("3", "b4"))
    way = releases.way_back(known, known[-1], 1)
    assert (way.target["number"], way.backup) == (1, "b3")


def test_a_change_of_settings_is_gone_back_from_without_the_database() -> None:
    known = line(("1", ""), ("2", "b2"), ("2", ""))
    way = releases.way_back(known, known[-1], None)
    assert (way.target["number"], way.backup) == (2, "")


def test_before_the_database_is_touched_no_backup_is_needed() -> None:
    known = line(("1", ""))
    on_its_way = known[0] | {"number": 2, "parent": 1, "version": "2", "phase": "maintenance"}
    assert releases.way_back(known, on_its_way, None).backup == ""


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (7, "release 7 is not one that release 3 came from"),
        (3, "release 3 is not one that release 3 came from"),
    ],
)
def test_only_what_it_came_from_can_be_gone_back_to(to: int, why: str) -> None:
    known = line(("1", ""), ("2", "b2"), ("3", "b3"))
    with pytest.raises(ValueError, match=why):
        releases.way_back(known, known[-1], to)


def test_from_the_first_release_there_is_no_way_back() -> None:
    known = line(("1", ""))
    with pytest.raises(ValueError, match="none before release 1 to go back to"):
        releases.way_back(known, known[0], None)


def test_without_a_backup_a_changed_database_is_not_gone_back_from() -> None:
    known = line(("1", ""), ("2", ""))
    with pytest.raises(ValueError, match="has no backup"):
        releases.way_back(known, known[-1], None)


def test_a_lost_record_is_named() -> None:
    known = line(("1", ""), ("2", "b2"), ("3", "b3"))
    with pytest.raises(ValueError, match="record of release 2 is on no host"):
        releases.way_back(known[2:], known[-1], None)
