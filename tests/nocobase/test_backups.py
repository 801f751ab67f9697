from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbops.base.errors import ActionFailed
from nbops.nocobase.backups import (
    Manifest,
    Part,
    Shelf,
    backup_name,
    bytes_of,
    is_name,
    next_order,
    read_manifest,
    room_for_dump,
    room_for_restore,
    superfluous,
    together,
)
from nbops.nocobase.shelf import read_listing

RUN = "20261123T084733Z-1a2b3c"
MIB = 1 << 20


def manifest(name: str = f"{RUN}-upgrade", what: str = "database", **other: object) -> Manifest:
    part = Part("database.dump", 250, "ab" * 32, database="nocobase", tables=104, held=1000)
    return replace(
        Manifest(
            name=name,
            what=what,
            cluster="demo",
            reason="upgrade",
            run=RUN,
            who="ann@desk",
            when="2026-11-23T08:47:33Z",
            host="db",
            version="2.2.15",
            parts=(part,),
            dialect="postgres",
            server=17,
            tool=17,
            verified="list",
        ),
        **other,  # type: ignore[arg-type]
    )


def test_a_manifest_is_read_as_it_was_written() -> None:
    for what in ("database", "files", "redis"):
        assert read_manifest(manifest(what=what).text()) == manifest(what=what)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "parts": []}', '{"format": 1}']
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_manifest(text)


PATHS = st.text(st.sampled_from("ab1./\\~-_ \n\0é"), max_size=12)


@given(PATHS, PATHS, PATHS)
@example("../../x", "database", "database.dump")
@example("x", "x/../../../../etc", "database.dump")
@example("x", "database", "/home/ann/.bashrc")
@example("x", "database", "..")
def test_no_manifest_leads_out_of_the_folder_of_its_backup(name: str, what: str, file: str) -> None:
    text = manifest(name, what, parts=(Part(file, 1, "ab" * 32),)).text()
    try:
        read = read_manifest(text)
    except ValueError:
        return
    folder = PurePosixPath("/b/demo", read.name, read.what, read.parts[0].file)
    assert folder.parts == ("/", "b", "demo", name, what, file)
    assert ".." not in folder.parts


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("file", ["", "/x", "../x", "a/b", "..", ".bashrc", "-rf", "a\nb", "a b", "manifest.json"]),
        ("sha256", ["", "ab", "AB" * 32, "x" * 64, "ab" * 32 + "\n"]),
        ("size", [-1]),
    ],
)
def test_a_part_that_no_backup_has_is_refused(field: str, wrong: list[object]) -> None:
    (part,) = manifest().parts
    for value in wrong:
        with pytest.raises(ValueError, match=rf"parts\.0\.{field}: "):
            read_manifest(manifest(parts=(replace(part, **{field: value}),)).text())  # type: ignore[arg-type]


def test_a_backup_of_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="parts: none"):
        read_manifest(manifest(parts=()).text())


def test_a_sub_applications_file_may_have_letters_of_any_script() -> None:
    there = manifest(parts=(Part("application-商店_é.v-2.sql.zst", 0, "ab" * 32),))
    assert read_manifest(there.text()) == there


def test_a_listing_names_the_manifest_of_a_host_that_lies() -> None:
    listing = f"\n# x/y/manifest.json\n{manifest(what='../../etc').text()}"
    with pytest.raises(ActionFailed, match=r"x/y/manifest\.json on db .* what: none of database"):
        read_listing(listing, "on db")


def test_the_same_run_makes_the_same_backup_only_once() -> None:
    assert backup_name(RUN, "upgrade") == f"{RUN}-upgrade"


@pytest.mark.parametrize("text", ["", "..", "../x", "a/b", "-rf", "a b", "a\n"])
def test_what_could_leave_the_folder_is_no_name(text: str) -> None:
    assert not is_name(text)


def test_what_is_being_written_is_not_taken_for_a_backup() -> None:
    shelf = Shelf("/var/backups/nocobase/", "demo")
    assert shelf.of("one", "database") == "/var/backups/nocobase/demo/one/database"
    assert shelf.partial("one", "database") == "/var/backups/nocobase/demo/.partial-one-database"


def test_the_parts_of_a_backup_on_several_hosts_are_one_backup() -> None:
    files = manifest(what="files", host="node1")
    older = manifest(name="20251123T084733Z-1a2b3c-manual")
    newest, oldest = together([older, files, manifest()])
    assert newest.facts()["hosts"] == ["db", "node1"]
    assert newest.facts()["holds"] == ["database", "files"]
    assert newest.database == manifest()
    assert oldest.name == older.name


def named(*names: str) -> list[Manifest]:
    return [manifest(name=name) for name in names]


def test_the_oldest_go_first() -> None:
    assert superfluous(named("c", "a", "d", "b"), 2, ()) == ["a", "b"]


def test_a_computer_whose_clock_is_behind_makes_the_latest_backup_all_the_same() -> None:
    before = manifest(name="20261123T094733Z-1a2b3c-manual", order=6)
    latest = manifest(name="20261123T084733Z-4d5e6f-manual", order=next_order([before]))
    files = manifest(name=latest.name, what="files", host="node1", order=2)
    assert superfluous([latest, before], 1, ()) == [before.name]
    assert [one.name for one in together([files, before, latest])] == [latest.name, before.name]


def test_a_backup_without_an_order_is_older_than_one_that_has_it() -> None:
    old, new = manifest(name="b"), manifest(name="a", order=next_order(named("b")))
    assert superfluous([new, old], 1, ()) == ["b"]


def test_the_way_back_of_a_release_stays() -> None:
    assert superfluous(named("a", "b", "c"), 1, ("a",)) == ["b"]


@given(st.sets(st.text("abc", min_size=1)), st.integers(-3, 5), st.sets(st.text("abc")))
def test_the_latest_always_stays(names: set[str], keep: int, protected: set[str]) -> None:
    gone = superfluous(named(*names), keep, protected)
    left = names - set(gone)
    assert not names or max(names) in left
    assert protected & names <= left
    assert len(gone) <= max(0, len(names) - keep)


def test_the_room_for_a_first_dump_is_half_of_what_the_server_holds() -> None:
    assert room_for_dump(500 * MIB, []) == 250 + 64


def test_the_room_for_a_further_dump_follows_the_last_one() -> None:
    part = Part("database.dump", 100 * MIB, "", held=1000 * MIB)
    earlier = [manifest(name="a", parts=(part,)), manifest(name="b", what="files", parts=())]
    assert room_for_dump(1000 * MIB, earlier) == 150 + 64
    assert room_for_dump(2000 * MIB, earlier) == 300 + 64
    assert room_for_dump(10 * MIB, earlier) == 150 + 64


def test_the_room_for_a_copy_beside_the_present_database() -> None:
    assert room_for_restore(1000 * MIB) == 1500 + 64


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (312_400_000, "312 MB")]
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert bytes_of(size) == text


def test_a_listing_holds_every_manifest() -> None:
    one, two = manifest(), manifest(name="a")
    output = f"\n# b/database/manifest.json\n{one.text()}\n# a/x/manifest.json\n{two.text()}"
    assert read_listing(output, "on db") == [one, two]
    assert read_listing("", "on db") == []


def test_a_broken_manifest_is_named_with_its_place() -> None:
    with pytest.raises(ActionFailed, match=r"^b/database/manifest.json on db is no manifest"):
        read_listing("\n# b/database/manifest.json\n{", "on db")
