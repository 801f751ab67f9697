import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.command import Command, Effect
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from nbops.transport import script
from nbops.transport.framing import new_mark
from nbops.transport.script import Job
from nbops.transport.session import Fence


def test_a_job_has_the_same_name_whenever_it_is_asked_for() -> None:
    assert Job.of("run", "0.1/host/a1p0") == Job.of("run", "0.1/host/a1p0")
    assert Job.of("run", "0.1/host/a1p0").mark != Job.of("other", "0.1/host/a1p0").mark


@given(a=st.text(max_size=300), b=st.text(max_size=300))
def test_different_steps_have_different_folders(a: str, b: str) -> None:
    one, other = Job.of("run", a), Job.of("run", b)
    assert (one.folder == other.folder) == (a == b)
    assert len(one.folder) < 255
    assert "/" not in one.folder


@pytest.mark.parametrize("run", ["", "../x", "a/b", ".hidden", "x" * 101, "a b"])
def test_a_run_that_cannot_name_a_folder_is_refused(run: str) -> None:
    with pytest.raises(ValueError, match="name of a folder"):
        script.prelude(run)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a=b", "$(id)"])
def test_a_wrong_name_in_the_environment_is_refused(name: str) -> None:
    with pytest.raises(ActionFailed, match="environment variable"):
        script.probe(Command("true", env={name: "x"}), new_mark(), new_mark())


def test_a_nul_is_refused_with_its_place() -> None:
    with pytest.raises(ActionFailed, match="the script holds a NUL"):
        script.probe(Command("echo a\0b"), new_mark(), new_mark())
    with pytest.raises(ActionFailed, match="the A holds a NUL"):
        script.probe(Command("true", env={"A": "a\0b"}), new_mark(), new_mark())


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("a && b", False),
        ("a >&2 2>&1", False),
        ("a &> b", False),
        ("a &", True),
        ("a & b", True),
        ("(a; b)&", True),
    ],
)
def test_a_script_that_may_leave_children_is_known(text: str, may: bool) -> None:
    assert script.may_leave_children(text) is may


def _is_sh(text: bytes) -> None:
    checked = subprocess.run(["/bin/sh", "-n"], input=text, capture_output=True, check=False)
    assert checked.stderr == b""


@given(
    text=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    value=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    stdin=st.one_of(st.none(), st.binary(max_size=50)),
)
def test_no_text_breaks_out_of_a_request(text: str, value: str, stdin: bytes | None) -> None:
    command = Command(
        Secret(text), env={"A": value}, cwd=value or None, stdin=stdin,
        effect=Effect.JOB, step="s",
    )  # fmt: skip
    mark = new_mark()
    _is_sh(script.prelude("run"))
    _is_sh(script.whole(script.probe(command, mark, new_mark())))
    begun = script.begin(command, Job.of("r", "s"), mark, live=True, seen=(3, 4), fence=None)
    _is_sh(script.whole(begun))


@pytest.mark.parametrize("effect", [Effect.NONE, Effect.JOB])
def test_a_request_that_breaks_off_does_nothing(tmp_path: Path, effect: Effect) -> None:
    """The connection may end anywhere in it; the shell then reads the end of its input."""
    trace = tmp_path / "trace"
    command = Command(f"echo x >>{trace}\necho y >>{trace}", stdin=b"in", effect=effect, step="s")
    mark, run = new_mark(), f"cut-{tmp_path.name}"
    request = script.probe(command, mark, new_mark())
    if effect is Effect.JOB:
        request = script.begin(
            command, Job.of(run, "s"), mark, live=False, seen=(0, 0), fence=Fence("/f", 3)
        )
    whole = script.whole(request)
    before = script.prelude(run)
    for end in range(0, len(whole) - 2, 7):
        subprocess.run(["/bin/sh"], input=before + whole[:end], capture_output=True, check=False)
        assert not trace.exists(), whole[:end]
        assert not (Path.home() / ".nbops" / f"run-{run}").exists()
