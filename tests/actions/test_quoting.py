"""Any text, through every argument that takes any text, arrives on the host unchanged."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbops.actions.builtin import BUILTIN
from nbops.actions.registry import Registry
from nbops.base.command import quote
from tests.actions.conftest import LocalContext, do

ACTIONS = Registry(BUILTIN)
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
# A leading `~` and `$NAME` of a set variable are replaced in paths, as ansible-core does.
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/$"), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."} and len(name.encode()) < 200)

many = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def act(ctx: LocalContext, name: str, **arguments: object) -> dict[str, object]:
    """Carry out an action; gives its values."""
    result = do(ACTIONS.action(name), ctx, **arguments)
    assert not result.failed, result
    return dict(result.values)


def stdout(ctx: LocalContext, name: str, **arguments: object) -> str:
    """What an action's program printed, without what is taken off the ends."""
    return str(act(ctx, name, **arguments)["stdout"]).removesuffix("|")


THROUGH: dict[str, Callable[[LocalContext, str], str]] = {
    "command argv": lambda ctx, text: stdout(
        ctx, "command", argv=["printf", "%s|", text], expand_argument_vars=False
    ),
    "command text": lambda ctx, text: stdout(
        ctx, "command", cmd=f"printf %s| {quote(text)}", expand_argument_vars=False
    ),
    "command stdin": lambda ctx, text: stdout(
        ctx, "command", argv=["sh", "-c", "cat; printf '|'"], stdin=text, stdin_add_newline=False
    ),
    "shell text": lambda ctx, text: stdout(ctx, "shell", cmd=f"printf '%s|' {quote(text)}"),
    "shell stdin": lambda ctx, text: stdout(
        ctx, "shell", cmd="cat; printf '|'", stdin=text, stdin_add_newline=False
    ),
    "raw": lambda ctx, text: stdout(ctx, "raw", cmd=f"printf '%s|' {quote(text)}"),
    "raw through another shell": lambda ctx, text: stdout(
        ctx, "raw", cmd=f"printf '%s|' {quote(text)}", executable="/bin/bash"
    ),
    "script argument": lambda ctx, text: stdout(ctx, "script", cmd=f"show.sh {quote(text)}"),
    "ping": lambda ctx, text: str(act(ctx, "ping", data=f"x{text}")["ping"])[1:],
    "debug": lambda ctx, text: str(act(ctx, "debug", msg=text)["msg"]),
}


@pytest.mark.parametrize("way", THROUGH)
@many
@given(text=ANY)
def test_any_text_arrives(ctx: LocalContext, way: str, text: str) -> None:
    script = ctx.runbook / "show.sh"
    script.write_text("#!/bin/sh\nprintf '%s|' \"$1\"\n")
    assert THROUGH[way](ctx, text) == text


@many
@given(name=NAMES, other=NAMES, line=ANY)
def test_any_name_is_a_path(ctx: LocalContext, box: Path, name: str, other: str, line: str) -> None:
    path, second = f"{box}/a{name}", f"{box}/b{other}"
    act(ctx, "file", path=path, state="touch", mode="0600")
    act(ctx, "file", path=second, src=f"a{name}", state="link")
    assert Path(second).readlink() == Path(f"a{name}")
    act(ctx, "lineinfile", path=path, line=line)
    written = Path(path).read_bytes()
    assert written == line.encode() + b"\n"
    assert base64.b64decode(str(act(ctx, "slurp", src=path)["content"])) == written
    found = act(ctx, "stat", path=second)["stat"]
    assert isinstance(found, dict)
    assert (found["path"], found["lnk_target"]) == (second, f"a{name}")
    assert act(ctx, "fetch", src=path, dest=f"{ctx.home}/got", flat=True)["file"] == path
    assert (ctx.home / "got").read_bytes() == written
    act(ctx, "copy", src=path, dest=f"{box}/c{other}", remote_src=True)
    act(ctx, "file", path=second, state="absent")
    act(ctx, "file", path=path, state="absent")
    assert [one.name for one in box.iterdir()] == [f"c{other}"]
    Path(f"{box}/c{other}").unlink()


@many
@given(name=NAMES)
def test_any_name_is_a_folder_to_work_in(ctx: LocalContext, box: Path, name: str) -> None:
    folder = f"{box}/d{name}"
    act(ctx, "file", path=f"{folder}/in", state="directory")
    assert stdout(ctx, "shell", cmd="pwd -P; printf '|'", chdir=folder) == f"{folder}\n"
    creates = re.sub(r"[*?\[]", "?", f"{folder}/in")
    assert act(ctx, "command", cmd="false", creates=creates)["rc"] == 0
    (ctx.runbook / "source").mkdir(exist_ok=True)
    (ctx.runbook / "source" / f"f{name}").write_text(name)
    act(ctx, "copy", src="source/", dest=folder)
    assert Path(folder, f"f{name}").read_text() == Path(
        ctx.runbook, "source", f"f{name}"
    ).read_text()  # fmt: skip
    act(ctx, "wait_for", path=f"{folder}/f{name}", timeout=0)
    shutil.rmtree(folder)
    shutil.rmtree(ctx.runbook / "source")


@many
@given(text=ANY)
def test_any_text_is_content_of_a_template(ctx: LocalContext, box: Path, text: str) -> None:
    ctx.renderer = lambda _, __: text
    (ctx.runbook / "t.j2").write_text("")
    act(ctx, "template", src="t.j2", dest=f"{box}/t")
    assert (box / "t").read_bytes() == text.encode()


@many
@given(content=ANY)
def test_any_text_is_content(ctx: LocalContext, box: Path, content: str) -> None:
    act(ctx, "copy", content=content, dest=f"{box}/x")
    assert (box / "x").read_bytes() == content.encode()
