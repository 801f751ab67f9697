from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbops.actions import place
from nbops.actions.attrs import Rights
from nbops.actions.copy import CopyAction
from nbops.actions.paths import PathState
from nbops.actions.template import TemplateAction
from nbops.base.errors import ActionFailed
from nbops.base.secret import MASK, Secret
from tests.actions.conftest import LocalContext, do

COPY, TEMPLATE = CopyAction(), TemplateAction()
NEW = PathState("/x")
OLD = PathState("/x", True, 0o100640, uid=7, gid=8)
AS_ROOT = Rights(umask=0o022, own_uid=0, own_gid=0)


@pytest.mark.parametrize(
    ("rights", "existing", "mode", "owner", "keep"),
    [
        (AS_ROOT, NEW, 0o644, "", "0:0"),
        (AS_ROOT, OLD, 0o640, "", "7:8"),
        (Rights("0600", 1, 2), OLD, 0o600, "1:2", "7:8"),
        (Rights("u+x", 1), OLD, 0o740, "1", "7:8"),
        (Rights(gid=2, umask=0o077), NEW, 0o600, ":2", "0:0"),
    ],
)
def test_what_is_not_asked_for_stays_as_it_was(
    rights: Rights, existing: PathState, mode: int, owner: str, keep: str
) -> None:
    plan = place.plan("/staged", "/x", rights, existing)
    assert (plan.mode, plan.owner, plan.keep) == (mode, owner, keep)


def test_rights_are_set_before_the_rename() -> None:
    script = place.place_script([place.plan("/staged", "/x", Rights("0600", 1), NEW)])
    body = script[script.index("nb_place()") :]
    assert body.index("chown") < body.index("chmod") < body.index("nb_check") < body.index("mv -f")


def test_a_validation_without_the_path_is_refused() -> None:
    with pytest.raises(ActionFailed, match="validate must contain %s"):
        place.place_script([], "nginx -t")


def test_an_unchanged_file_costs_one_round_trip(ctx: LocalContext, box: Path) -> None:
    dest = str(box / "a")
    assert do(COPY, ctx, content="x", dest=dest, mode="0600").changed
    ctx.probes.clear()
    ctx.acts.clear()
    assert not do(COPY, ctx, content="x", dest=dest, mode="0600").changed
    assert (len(ctx.probes), len(ctx.acts)) == (1, 0)


def test_a_changed_file_is_another_file_not_the_same_one_rewritten(
    ctx: LocalContext, box: Path
) -> None:
    (box / "a").write_text("old")
    kept = (box / "a").open()
    do(COPY, ctx, content="new", dest=str(box / "a"))
    assert kept.read() == "old"
    assert [path.name for path in box.iterdir()] == ["a"]


def test_a_file_that_fails_its_validation_leaves_everything_as_it_was(
    ctx: LocalContext, box: Path
) -> None:
    (box / "a").write_text("old")
    result = do(
        COPY, ctx, content="new", dest=str(box / "a"), validate="sh -c 'cat %s; echo no >&2; false'"
    )
    assert result.failed
    assert result.values["exit_status"] == 1
    assert result.values["stderr"] == "no\n"
    assert (box / "a").read_text() == "old"
    assert [path.name for path in box.iterdir()] == ["a"]


def test_a_link_that_somebody_puts_in_the_way_is_not_written_through(
    ctx: LocalContext, box: Path
) -> None:
    do(COPY, ctx, content="1", dest=str(box / "a"))
    placed = place.plan("", str(box / "a"), Rights(), NEW)
    (call,) = place.place_script([placed]).splitlines()[-1:]
    temporary = call.split()[2]
    (box / "target").write_text("precious")
    Path(temporary).symlink_to(box / "target")
    assert do(COPY, ctx, content="2", dest=str(box / "a")).changed
    assert (box / "target").read_text() == "precious"
    assert (box / "a").read_text() == "2"


def test_the_content_before_is_kept_beside_it(ctx: LocalContext, box: Path) -> None:
    do(COPY, ctx, content="1", dest=str(box / "a"), mode="0600")
    result = do(COPY, ctx, content="2", dest=str(box / "a"), backup=True)
    kept = Path(result.values["backup_file"])
    assert kept.read_text() == "1"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_in_check_mode_a_difference_is_told_and_nothing_sent(ctx: LocalContext, box: Path) -> None:
    (box / "a").write_text("old\n")
    ctx.check = ctx.diff = True
    result = do(COPY, ctx, content="new\n", dest=str(box / "a"))
    assert result.changed
    assert result.diff is not None
    assert not isinstance(result.diff, list | tuple)
    assert (result.diff.before, result.diff.after) == ("old\n", "new\n")
    assert [path.name for path in ctx.staging.iterdir()] == ["script"]


def test_a_diff_never_shows_secret_content(ctx: LocalContext, box: Path) -> None:
    (box / "a").write_text("KEY=old-s3cret\n")
    ctx.diff = True
    result = do(COPY, ctx, content=Secret("KEY=new-s3cret\n"), dest=str(box / "a"))
    assert (box / "a").read_text() == "KEY=new-s3cret\n"
    assert MASK in str(result.diff)
    assert "s3cret" not in str(result)


def test_a_template_with_a_secret_is_written_and_never_shown(ctx: LocalContext, box: Path) -> None:
    (ctx.runbook / "env.j2").write_text("KEY={{ key }}\n")
    ctx.diff = True
    ctx.renderer = lambda text, _: Secret(text.replace("{{ key }}", "s3cret"))
    result = do(TEMPLATE, ctx, src="env.j2", dest=str(box / "env"), mode="0600")
    assert (box / "env").read_text() == "KEY=s3cret\n"
    assert "s3cret" not in str(result) + "".join(str(script) for script in ctx.acts + ctx.probes)


def test_large_and_binary_content_is_only_named_in_a_diff(ctx: LocalContext, box: Path) -> None:
    ctx.diff = True
    result = do(COPY, ctx, content="x" * 200_000, dest=str(box / "a"))
    assert "200000 bytes" in str(result.diff)
    result = do(COPY, ctx, content="a\0b", dest=str(box / "b"))
    assert "binary, 3 bytes" in str(result.diff)


def test_a_folder_is_copied_in_two_round_trips(ctx: LocalContext, box: Path) -> None:
    source = ctx.runbook / "files" / "many"
    for number in range(20):
        (source / f"sub {number % 3}").mkdir(parents=True, exist_ok=True)
        (source / f"sub {number % 3}" / f"it's {number}").write_text(str(number))
    assert do(COPY, ctx, src="many", dest=str(box)).changed
    assert (len(ctx.probes), len(ctx.acts)) == (1, 1)
    assert (box / "many" / "sub 1" / "it's 19").read_text() == "19"
    assert not do(COPY, ctx, src="many", dest=str(box)).changed


def test_a_link_in_a_circle_stays_a_link(ctx: LocalContext, box: Path) -> None:
    source = ctx.runbook / "files" / "round"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "x").write_text("x")
    (source / "sub" / "again").symlink_to("..")
    (source / "zz").symlink_to("sub")
    do(COPY, ctx, src="round/", dest=str(box))
    assert (box / "sub" / "again").readlink() == Path("..")
    assert (box / "zz" / "x").read_text() == "x"
    assert not (box / "zz").is_symlink()


def test_what_is_on_the_host_is_copied_there(ctx: LocalContext, box: Path) -> None:
    (box / "from" / "-sub").mkdir(parents=True)
    (box / "from" / "-sub" / "new\nline").write_bytes(b"\0\xff")
    (box / "from" / ".hidden").write_text("h")
    assert do(COPY, ctx, src=f"{box}/from/", dest=f"{box}/to", remote_src=True).changed
    assert (box / "to" / "-sub" / "new\nline").read_bytes() == b"\0\xff"
    assert (box / "to" / ".hidden").read_text() == "h"
    assert not do(COPY, ctx, src=f"{box}/from/", dest=f"{box}/to", remote_src=True).changed


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."} and "$" not in name)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=300), name=NAMES)
def test_any_bytes_arrive_under_any_name(
    ctx: LocalContext, box: Path, content: bytes, name: str
) -> None:
    (ctx.runbook / "source").write_bytes(content)
    dest = f"{box}/{name}"
    result = do(COPY, ctx, src="source", dest=dest)
    assert result.values["dest"] == dest
    assert Path(dest).read_bytes() == content
    Path(dest).unlink()
    assert list(box.iterdir()) == []
