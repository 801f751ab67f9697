"""Commands without an effect: straight in the host's shell, exact, and it survives them."""

import os
import signal
import string
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbops.base.command import Command
from nbops.base.errors import ActionFailed, ConnectionLost, DeadlineExceeded, Interrupted
from nbops.base.ids import new_run_id
from nbops.base.retry import Stop
from nbops.base.secret import Secret
from nbops.transport.endpoint import Endpoint
from nbops.transport.host import HostSession
from nbops.transport.local import LocalLink
from nbops.transport.pool import Pool
from tests.transport.conftest import LOCAL, MakePool, a_nap, alive

TEN_MB = 10 * 1000 * 1000
texts = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
few = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize(
    ("script", "status", "out", "err"),
    [
        ("echo hello", 0, b"hello\n", b""),
        ("printf 'no newline'", 0, b"no newline", b""),
        ("printf 'a\\0b\\377\\376\\n\\n'", 0, b"a\0b\xff\xfe\n\n", b""),
        ("echo out; echo err >&2", 0, b"out\n", b"err\n"),
        ("exit 7", 7, b"", b""),
        ("false", 1, b"", b""),
        ("", 0, b"", b""),
        ("# only a comment", 0, b"", b""),
        ("exec echo replaced", 0, b"replaced\n", b""),
        ("set -e; false; echo never", 1, b"", b""),
        ("set -u; echo before; echo $nothing", 2, b"before\n", None),
        ("kill $$", 143, b"", b""),
        ("kill -9 $$", 137, b"", b""),
        ("echo out; kill -SEGV $$", 139, b"out\n", b""),
        ("cat <<END\none\ntwo\nEND\necho after", 0, b"one\ntwo\nafter\n", b""),
        ("cat <<'NBOPS'\n$x `y`\nNBOPS", 0, b"$x `y`\n", b""),
        ("if", 2, b"", None),
        ("echo 'open", 2, b"", None),
        ("}; )", 2, b"", None),
        ("cat; echo end of input", 0, b"end of input\n", b""),
        ("read -r x; echo got $x", 0, b"got\n", b""),
        ("sleep 3 & echo child", 0, b"child\n", b""),
        ("(sleep 3; echo late) & echo early; exit 3", 3, b"early\n", b""),
        ("exec >/dev/null 2>&1; echo lost", 0, b"", b""),
        ("exec 1>&- 2>&-; true", 0, b"", b""),
        ("cd /; pwd", 0, b"/\n", b""),
        ("trap 'echo bye' EXIT; exit 4", 4, b"bye\n", b""),
        ("echo $0", 0, b"/bin/sh\n", b""),
        ("echo \\\\ '$x' \"a'b\"", 0, b"\\ $x a'b\n", b""),
        ("nowhere_to_be_found", 127, b"", None),
    ],
)
def test_output_and_status_are_right_and_the_session_lives(
    session: HostSession, script: str, status: int, out: bytes, err: bytes | None
) -> None:
    outcome = session.run(Command(script))
    assert (outcome.status, outcome.stdout) == (status, out)
    assert outcome.stderr == err if err is not None else outcome.stderr
    assert session.run(Command("echo alive")).stdout == b"alive\n"


def test_nothing_of_a_command_is_left_for_the_next(session: HostSession) -> None:
    session.run(Command("cd /; X=1; export X; umask 0; set -e", env={"Y": "1"}, cwd="/tmp"))
    outcome = session.run(Command("pwd; umask; echo ${X-none} ${Y-none}"))
    where, mask, variables = outcome.out.splitlines()
    assert where != "/"
    assert mask == session.run(Command("umask")).out.strip()
    assert variables == "none none"


def test_a_child_left_behind_never_speaks_in_the_next_output(session: HostSession) -> None:
    assert session.run(Command("(sleep 0.3; echo late; echo late >&2) & echo now")).out == "now\n"
    outcome = session.run(Command("sleep 0.6; echo mine"))
    assert (outcome.stdout, outcome.stderr) == (b"mine\n", b"")


def test_ten_megabytes_on_both_outputs_at_once(session: HostSession) -> None:
    script = (
        f"head -c {TEN_MB} /dev/zero | tr '\\0' a & "
        f"head -c {TEN_MB} /dev/zero | tr '\\0' b >&2; wait"
    )
    outcome = session.run(Command(script))
    assert outcome.stdout == b"a" * TEN_MB
    assert outcome.stderr == b"b" * TEN_MB


def test_ten_megabytes_of_input(session: HostSession) -> None:
    content = bytes(range(256)) * 40_000
    assert session.run(Command("cat", stdin=content)).stdout == content


def test_input_that_nobody_reads_does_no_harm(session: HostSession) -> None:
    assert session.run(Command("exit 5", stdin=b"x" * 1_000_000)).status == 5
    assert session.run(Command("head -c 3", stdin=b"x" * 1_000_000)).stdout == b"xxx"


@few
@given(content=st.binary(max_size=3000))
def test_any_bytes_of_input_come_back(content: bytes) -> None:
    assert _shared().run(Command("cat", stdin=content)).stdout == content


@few
@given(value=texts)
def test_any_value_arrives_in_the_environment(value: str) -> None:
    outcome = _shared().run(Command('printf %s "$A"', env={"A": Secret(value)}))
    assert outcome.stdout == value.encode()


@few
@given(text=texts)
def test_any_text_of_a_script_arrives(text: str) -> None:
    """The script is printed by a program that reads it as it is."""
    outcome = _shared().run(Command(text, shell="/bin/cat"))  # noqa: S604
    assert outcome.stdout == (text if text.endswith("\n") else f"{text}\n").encode()


def test_a_line_that_begins_like_the_end_of_the_script_arrives(session: HostSession) -> None:
    text = "".join(f"{letter}ü\n" for letter in "NBOPS_" + string.hexdigits)
    assert session.run(Command(f"printf %s '\n{text}'")).out == f"\n{text}"


def test_the_directory_is_any_directory(session: HostSession, tmp_path: Path) -> None:
    folder = f'{tmp_path}/it\'s a $(folder) "here"\n'
    session.run(Command('mkdir "$F"', env={"F": folder}))
    assert session.run(Command("pwd; echo .", cwd=folder)).out == f"{folder}\n.\n"


def test_a_missing_directory_fails_before_the_command(session: HostSession) -> None:
    outcome = session.run(Command("echo never", cwd="/no/such/folder"))
    assert not outcome.ok
    assert outcome.stdout == b""
    assert "/no/such/folder" in outcome.err


def test_other_shells_read_the_script(session: HostSession) -> None:
    assert session.run(Command("[[ a == a ]] && echo $BASH", shell="/bin/bash")).out  # noqa: S604
    script = "import sys; print(sys.stdin.read())"
    python = Command(script, shell="python3", stdin=b"given")  # noqa: S604
    assert session.run(python).out == "given\n"


def test_output_is_shown_as_it_comes(session: HostSession) -> None:
    seen: list[tuple[float, bytes]] = []
    begun = time.monotonic()
    outcome = session.run(
        Command("echo one; sleep 1; echo two"),
        watch=lambda piece: seen.append((time.monotonic() - begun, piece)),
    )
    assert b"".join(piece for _, piece in seen) == outcome.stdout
    assert seen[0][0] < 0.9


def test_no_secret_stands_in_a_list_of_arguments(session: HostSession) -> None:
    command = Command(
        Secret("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c 'hush[0-9]'"),
        env={"A": Secret("hush1")},
        stdin=b"hush2",
    )
    # Only grep's own pattern is found, which has no digit behind it.
    assert session.run(command).out == "0\n"


def test_a_command_that_is_late_is_killed_with_all_its_children(session: HostSession) -> None:
    nap = a_nap()
    script = f"setsid sleep {nap} & (trap '' TERM; sleep {nap}; sleep {nap}) & sleep {nap}"
    session.run(Command("true"))
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        session.run(Command(script, deadline=0.5))
    assert time.monotonic() - begun < 8
    assert alive(nap) == []
    assert "0.5 s" in str(caught.value)
    assert f"setsid sleep {nap}" in str(caught.value)
    assert session.run(Command("echo alive")).out == "alive\n"


def test_what_an_earlier_command_left_running_outlives_a_late_one(session: HostSession) -> None:
    nap = a_nap()
    session.run(Command(f"setsid -f sleep {nap} </dev/null >/dev/null 2>&1"))
    with pytest.raises(DeadlineExceeded):
        session.run(Command("sleep 9", deadline=0.3))
    left = alive(nap)
    assert len(left) == 1
    os.kill(left[0], signal.SIGKILL)


def test_no_command_knows_the_mark_of_its_end(session: HostSession) -> None:
    outcome = session.run(Command("env; tr '\\0' '\\n' </proc/$PPID/environ; echo all"))
    assert outcome.out.endswith("all\n")


def test_a_late_command_that_is_secret_is_not_named(session: HostSession) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        session.run(Command(Secret("sleep 9 # hush"), deadline=0.3))
    assert "hush" not in str(caught.value)


def test_an_idle_deadline_counts_from_the_last_output(session: HostSession) -> None:
    talks = Command("for i in 1 2 3 4; do echo $i; sleep 0.5; done", deadline=1.2, idle=True)
    assert session.run(talks).ok
    with pytest.raises(DeadlineExceeded, match="gave no output for"):
        session.run(Command("echo one; sleep 9", deadline=0.5, idle=True))


def test_a_stop_ends_the_wait_at_once(endpoint: Endpoint, make_pool: MakePool) -> None:
    stop = Stop()
    session = make_pool(stop=stop).session(endpoint)
    session.run(Command("true"))
    nap = a_nap()
    threading.Timer(0.5, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        session.run(Command(f"sleep {nap}"))
    assert time.monotonic() - begun < 5
    time.sleep(0.3)
    assert alive(nap) == []


def test_a_command_that_kills_its_parent_is_given_up_with_a_reason(session: HostSession) -> None:
    with pytest.raises(ConnectionLost, match="the shell ended"):
        session.run(Command("kill -9 $PPID"))
    assert session.run(Command("echo alive")).out == "alive\n"


def test_many_threads_share_one_session(session: HostSession) -> None:
    results: dict[int, str] = {}

    def work(number: int) -> None:
        results[number] = session.run(Command(f"sleep 0.0{number % 7}; echo {number}")).out

    threads = [threading.Thread(target=work, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {number: f"{number}\n" for number in range(30)}


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 16) + 1, 3_000_000])
def test_a_staged_file_comes_back(session: HostSession, tmp_path: Path, size: int) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    path = session.stage(content)
    assert session.fetch(path) == content
    mode = session.run(Command('stat -c %a -- "$P" "${P%/*}"', env={"P": path})).out
    assert mode.split() == ["600", "700"]


class _FullDisk(LocalLink):
    """A host on which the end of a file is lost without a word."""

    def put(self, source: Path | bytes, target: str, wait: Callable[[], None]) -> None:
        """See `Link`."""
        assert isinstance(source, bytes)
        super().put(source[:-1], target, wait)


def test_a_file_that_did_not_arrive_whole_is_an_error_and_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    links: list[LocalLink] = [_FullDisk(), LocalLink()]
    session = HostSession(
        "here",
        new_run_id(),
        lambda: links.pop(0),
        stop=Stop(),
        emit=lambda _event: None,
        fence=lambda: None,
    )
    content = b"x" * 200_000
    with pytest.raises(ActionFailed, match="is the disk full"):
        session.stage(content)
    assert not list(tmp_path.rglob("f-*"))
    session.close()
    assert Path(session.stage(content)).read_bytes() == content
    session.close(sweep=True)


def test_the_same_content_is_staged_once(session: HostSession, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 200_000)
    assert session.stage(file) == session.stage(b"x" * 200_000)
    inode = session.run(Command('stat -c %i -- "$P"', env={"P": session.stage(file)})).out
    assert session.run(Command('stat -c %i -- "$P"', env={"P": session.stage(file)})).out == inode


def test_a_file_that_cannot_be_read_is_told_with_its_cause(session: HostSession) -> None:
    with pytest.raises(ActionFailed, match="No such file"):
        session.fetch("/no/such/file")
    with pytest.raises(ActionFailed, match="Is a directory"):
        session.fetch("/etc")


def test_any_name_of_a_file_can_be_fetched(session: HostSession, tmp_path: Path) -> None:
    name = f'{tmp_path}/-it\'s $(a) "name"\n'
    session.run(Command('printf x >"$F"', env={"F": name}))
    assert session.fetch(name) == b"x"


def test_nothing_is_left_when_only_probes_ran(make_pool: MakePool) -> None:
    pool = make_pool(run="only-probes")
    session = pool.session(LOCAL)
    session.run(Command("true"))
    assert session.run(Command("ls -d ~/.nbops/run-only-probes")).status != 0


_SHARED: list[HostSession] = []


@pytest.fixture(scope="module", autouse=True)
def _close_shared() -> object:
    yield
    for session in _SHARED:
        session.close()
    _SHARED.clear()


def _shared() -> HostSession:
    """One session for the examples of the property tests."""
    if not _SHARED:
        pool = Pool("shared", stop=Stop(), emit=lambda _event: None)
        _SHARED.append(pool.session(LOCAL))
    return _SHARED[0]
