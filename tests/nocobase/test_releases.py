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
    image="reg/nocobase:2.2.15",
    digest="sha256:aa",
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
    "change", [{"version": "3"}, {"digest": "sha256:bb"}, {"files": {}}, {"fingerprint": "g"}]
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
