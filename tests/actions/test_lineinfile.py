from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nbops.actions.lineinfile import LineinfileAction, LineinfileArgs, edit
from nbops.base.secret import Secret
from tests.actions.conftest import LocalContext, do

LINE = LineinfileAction()
TEXT = b"a=1\nb=2\na=3\n"


@pytest.mark.parametrize(
    ("arguments", "after", "msg"),
    [
        ({"line": "c"}, TEXT + b"c\n", "line added"),
        ({"line": "b=2"}, TEXT, ""),
        ({"line": "a=9", "regexp": "^a="}, b"a=1\nb=2\na=9\n", "line replaced"),
        ({"line": "a=9", "regexp": "^a=", "firstmatch": True}, b"a=9\nb=2\na=3\n", "line replaced"),
        ({"line": "x", "search_string": "b="}, b"a=1\nx\na=3\n", "line replaced"),
        ({"line": r"\1!", "regexp": "^(b)=", "backrefs": True}, b"a=1\nb!\na=3\n", "line replaced"),
        ({"line": r"\1!", "regexp": "^(z)=", "backrefs": True}, TEXT, ""),
        ({"line": "x", "insertafter": "^b"}, b"a=1\nb=2\nx\na=3\n", "line added"),
        ({"line": "x", "insertafter": "^a"}, b"a=1\nb=2\na=3\nx\n", "line added"),
        (
            {"line": "x", "insertafter": "^a", "firstmatch": True},
            b"a=1\nx\nb=2\na=3\n",
            "line added",
        ),
        ({"line": "x", "insertbefore": "^a"}, b"a=1\nb=2\nx\na=3\n", "line added"),
        ({"line": "x", "insertbefore": "BOF"}, b"x\n" + TEXT, "line added"),
        ({"line": "x", "insertafter": "EOF"}, TEXT + b"x\n", "line added"),
        ({"line": "x", "insertafter": "^nope"}, TEXT + b"x\n", "line added"),
        ({"regexp": "^a", "state": "absent"}, b"b=2\n", "2 line(s) removed"),
        ({"line": "b=2", "state": "absent"}, b"a=1\na=3\n", "1 line(s) removed"),
        ({"search_string": "=", "state": "absent"}, b"", "3 line(s) removed"),
        ({"line": "b", "state": "absent"}, TEXT, ""),
        ({"line": "it's $HOME"}, TEXT + b"it's $HOME\n", "line added"),
    ],
)
def test_lines_are_edited_as_ansible_edits_them(
    arguments: dict[str, Any], after: bytes, msg: str
) -> None:
    args = LineinfileArgs.model_validate({"path": "/x", **arguments})
    done = edit(TEXT.splitlines(keepends=True), args)
    assert (b"".join(done.lines), done.msg) == (after, msg)
    again = edit(list(done.lines), args)
    assert arguments.get("insertbefore") == "BOF" or "firstmatch" in arguments or again.msg == ""


def test_a_file_without_a_newline_at_the_end_gets_one() -> None:
    args = LineinfileArgs(path="/x", line="b")
    assert b"".join(edit([b"a"], args).lines) == b"a\nb\n"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"state": "absent"},
        {"line": "x", "regexp": "("},
        {"line": "x", "backrefs": True},
        {"line": "x", "insertafter": "a", "insertbefore": "b"},
        {"line": "x", "regexp": "a", "search_string": "b"},
    ],
)
def test_what_does_not_go_together_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LineinfileArgs.model_validate({"path": "/x", **arguments})


def test_an_edit_keeps_the_rights_and_writes_through_a_link(ctx: LocalContext, box: Path) -> None:
    (box / "real").write_bytes(b"\xff\0\r\nb\n")
    (box / "real").chmod(0o640)
    (box / "link").symlink_to("real")
    assert do(LINE, ctx, path=f"{box}/link", line="c").changed
    assert (box / "real").read_bytes() == b"\xff\0\r\nb\nc\n"
    assert (box / "real").stat().st_mode & 0o777 == 0o640
    assert (box / "link").is_symlink()
    assert (len(ctx.probes), len(ctx.acts)) == (1, 1)
    assert not do(LINE, ctx, path=f"{box}/link", line="c").changed
    assert (len(ctx.probes), len(ctx.acts)) == (2, 1)


def test_check_mode_writes_nothing(ctx: LocalContext, box: Path) -> None:
    (box / "x").write_text("a\n")
    ctx.check = ctx.diff = True
    result = do(LINE, ctx, path=f"{box}/x", line="b")
    assert result.changed
    assert getattr(result.diff, "after", "") == "a\nb\n"
    assert (box / "x").read_text() == "a\n"


def test_a_secret_line_is_never_shown(ctx: LocalContext, box: Path) -> None:
    (box / "x").write_text("a\n")
    ctx.diff = True
    result = do(LINE, ctx, path=f"{box}/x", line=Secret("KEY=s3cret"))
    assert (box / "x").read_text() == "a\nKEY=s3cret\n"
    assert "s3cret" not in str(result) + "".join(map(str, ctx.acts + ctx.probes))


def test_a_rejected_edit_leaves_the_file_as_it_was(ctx: LocalContext, box: Path) -> None:
    (box / "x").write_text("a\n")
    result = do(LINE, ctx, path=f"{box}/x", line="b", validate="false %s")
    assert result.failed
    assert (box / "x").read_text() == "a\n"
