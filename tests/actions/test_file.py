from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from nbops.actions.attrs import Rights
from nbops.actions.file import FileAction, FileArgs, Seen, decide
from nbops.actions.paths import PathState
from nbops.actions.stat import StatAction
from nbops.base.errors import ActionFailed
from tests.actions.conftest import LocalContext, do

FILE = FileAction()
NOTHING = PathState("/x")
PLAIN = PathState("/x", True, 0o100644, links=1)
FOLDER = PathState("/x", True, 0o040755, links=2)
LINK = PathState("/x", True, 0o120777, links=1, target="/y")
SOURCE = PathState("/y", True, 0o100644, links=1, inode=5)


def seen(there: PathState, source: PathState = NOTHING, *, empty: bool = True) -> Seen:
    return Seen(there, there, Rights(), source, empty)


REMOVE = (
    'set -- /x\nif [ -L "$1" ]; then '
    "echo 'rmtree failed: Cannot call rmtree on a symbolic link' >&2; exit 1; fi\n"
    'rm -rf -- "$1"\n'
)


TOUCH = "touch -- /x\ntrap '[ $? = 0 ] || rm -f -- \"$1\"' EXIT\nset -- /x\n"


@pytest.mark.parametrize(
    ("arguments", "found", "script"),
    [
        ({"state": "absent"}, seen(NOTHING), ""),
        ({"state": "absent"}, seen(FOLDER), REMOVE),
        ({"state": "directory"}, seen(FOLDER), ""),
        ({"state": "touch"}, seen(NOTHING), TOUCH),
        ({"state": "file"}, seen(PLAIN), ""),
        ({}, seen(PLAIN), ""),
        ({"state": "link", "src": "/y"}, seen(LINK, SOURCE), ""),
        ({"state": "link", "src": "/y"}, seen(NOTHING, SOURCE), "ln -s -f -n -T -- /y /x\n"),
        (
            {"state": "link", "src": "/y", "force": True},
            seen(FOLDER, SOURCE),
            "rmdir -- /x\nln -s -f -n -T -- /y /x\n",
        ),
        ({"state": "hard", "src": "/y"}, seen(NOTHING, SOURCE), "ln -f -T -- /y /x\n"),
    ],
)
def test_only_what_differs_is_done(arguments: dict[str, object], found: Seen, script: str) -> None:
    step = decide(FileArgs.model_validate({"path": "/x", **arguments}), found)
    assert (step.script, step.problem) == (script, "")


@pytest.mark.parametrize(
    ("arguments", "found", "problem"),
    [
        ({"state": "file"}, seen(NOTHING), "is absent, cannot continue"),
        ({"state": "file"}, seen(FOLDER), "is directory, cannot continue"),
        ({"state": "directory"}, seen(PLAIN), "already exists as a file"),
        ({"state": "link", "src": "/y"}, seen(NOTHING), "src file does not exist"),
        ({"state": "link", "src": "/y"}, seen(PLAIN, SOURCE), "refusing to convert"),
        (
            {"state": "link", "src": "/y", "force": True},
            seen(FOLDER, SOURCE, empty=False),
            "is not empty",
        ),
    ],
)
def test_nothing_is_lost_by_surprise(
    arguments: dict[str, object], found: Seen, problem: str
) -> None:
    step = decide(FileArgs.model_validate({"path": "/x", **arguments}), found)
    assert problem in step.problem
    assert step.script == ""


@pytest.mark.parametrize(
    "arguments",
    [
        {"state": "gone"},
        {"state": "file", "recurse": True},
        {"state": "file", "src": "/y"},
        {"state": "hard"},
        {"mode": "preserve"},
        {"path": ""},
        {"path": "/x", "colour": "red"},
    ],
)
def test_what_does_not_go_together_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FileArgs.model_validate({"path": "/x", **arguments})


def test_every_new_folder_on_the_way_gets_the_rights(ctx: LocalContext, box: Path) -> None:
    result = do(FILE, ctx, path=f"{box}/a b/-c/d", state="directory", mode="0700")
    assert result.changed
    for name in ("a b", "a b/-c", "a b/-c/d"):
        assert (box / name).stat().st_mode & 0o777 == 0o700
    assert box.stat().st_mode & 0o777 != 0o700


def test_a_folder_is_gone_with_everything_in_it_but_not_what_it_links_to(
    ctx: LocalContext, box: Path
) -> None:
    (box / "keep").mkdir()
    (box / "keep" / "x").touch()
    (box / "go").mkdir()
    (box / "go" / "link").symlink_to(box / "keep")
    assert do(FILE, ctx, path=f"{box}/go", state="absent").changed
    assert (box / "keep" / "x").exists()


def test_a_link_is_removed_not_its_target(ctx: LocalContext, box: Path) -> None:
    (box / "target").mkdir()
    (box / "link").symlink_to(box / "target")
    do(FILE, ctx, path=f"{box}/link", state="absent")
    assert (box / "target").exists()
    assert not (box / "link").is_symlink()


@pytest.mark.parametrize(("follow", "mode"), [(True, 0o600), (False, 0o644)])
def test_recursion_reaches_odd_names_and_what_links_lead_to_when_it_follows_them(
    ctx: LocalContext, box: Path, follow: bool, mode: int
) -> None:
    outside = box / "outside"
    outside.write_text("")
    outside.chmod(0o644)
    for name in ("in/.hidden", "in/..odd", "in/new\nline", "in/-n", "in/sub/deep"):
        (box / name).parent.mkdir(parents=True, exist_ok=True)
        (box / name).write_text("")
    (box / "in" / "link").symlink_to(outside)
    arguments = {"path": f"{box}/in", "state": "directory", "recurse": True, "mode": "u=rwX,go="}
    arguments["follow"] = follow
    assert do(FILE, ctx, **arguments).changed
    for path in (box / "in").rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0
    assert outside.stat().st_mode & 0o777 == mode
    assert not do(FILE, ctx, **arguments).changed


def test_links_in_a_circle_fail_after_the_rights_are_set(ctx: LocalContext, box: Path) -> None:
    (box / "in" / "sub").mkdir(parents=True)
    (box / "in" / "sub" / "up").symlink_to("..")
    with pytest.raises(ActionFailed, match="circle"):
        do(FILE, ctx, path=f"{box}/in", state="directory", recurse=True, mode="0700")
    assert (box / "in" / "sub").stat().st_mode & 0o777 == 0o700


def test_check_mode_changes_nothing_and_says_what_it_would(ctx: LocalContext, box: Path) -> None:
    ctx.check = ctx.diff = True
    result = do(FILE, ctx, path=f"{box}/new", state="directory")
    assert result.changed
    assert "state: absent" in str(result.diff)
    assert not (box / "new").exists()


@pytest.mark.parametrize("name", ["-n", "a b", "it's", "new\nline", "ü", "*", '"', "end\n"])
def test_stat_looks_at_any_name(ctx: LocalContext, box: Path, name: str) -> None:
    (box / name).write_text("x")
    result = do(StatAction(), ctx, path=f"{box}/{name}")
    found = result.values["stat"]
    assert (found["path"], found["size"], found["isreg"]) == (f"{box}/{name}", 1, True)
    assert found["checksum"] == "11f6ad8ec52a2984abaafd7c3b516503785c2072"
    assert (len(ctx.probes), len(ctx.acts)) == (1, 0)


def test_a_home_folder_is_that_of_the_host(ctx: LocalContext) -> None:
    (ctx.home / "x").touch()
    assert do(StatAction(), ctx, path="~/x").values["stat"]["path"] == f"{ctx.home}/x"


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_a_link_with_a_slash_at_its_end_is_never_emptied(
    ctx: LocalContext, box: Path, slashes: str
) -> None:
    (box / "kept").mkdir()
    (box / "kept" / "file").write_text("x")
    (box / "link").symlink_to("kept")
    with pytest.raises(ActionFailed, match="symbolic link"):
        do(FILE, ctx, path=f"{box}/link{slashes}", state="absent")
    assert (box / "kept" / "file").read_text() == "x"
    assert (box / "link").is_symlink()
    assert do(FILE, ctx, path=f"{box}/kept{slashes}", state="absent").changed
    assert not (box / "kept").exists()


def test_the_root_of_a_host_is_never_removed(ctx: LocalContext) -> None:
    ctx.check = True
    result = do(FILE, ctx, path="/", state="absent")
    assert result.failed
    assert "root of the host" in result.msg
