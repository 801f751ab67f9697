"""Jobs: they outlive what began them, happen once, are found again, and die when told to."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbops.base.command import Command
from nbops.base.errors import (
    ActionFailed,
    DeadlineExceeded,
    FenceRefused,
    Interrupted,
    JobLost,
)
from nbops.base.retry import Stop
from nbops.base.secret import Masker, Secret
from nbops.transport.endpoint import Endpoint
from nbops.transport.host import HostSession
from nbops.transport.script import Job
from nbops.transport.session import Fence, JobState
from tests.transport.conftest import LOCAL, MakePool, a_nap, alive, job

STEP = "0.1/host/a1p0"


def _run_folder(run: str) -> Path:
    return Path.home() / ".nbops" / f"run-{run}"


@pytest.mark.parametrize(
    ("script", "status", "out", "err"),
    [
        ("echo out; echo err >&2; exit 4", 4, b"out\n", b"err\n"),
        ("printf 'a\\0\\377'", 0, b"a\0\xff", b""),
        ("kill $$", 143, b"", b""),
        ("kill -9 $$", 137, b"", b""),
        ("kill 0; sleep 5", 143, b"", b""),
        ("exec echo x", 0, b"x\n", b""),
        ("set -e; false; echo no", 1, b"", b""),
        ("sleep 60 & echo child", 0, b"child\n", b""),
        ("cat <<X\nhere\nX", 0, b"here\n", b""),
        ("cat; echo end", 0, b"end\n", b""),
        ("", 0, b"", b""),
        ("if", 2, b"", None),
        ("cd /; echo $PWD", 0, b"/\n", b""),
        ("trap 'echo bye' EXIT; exit 3", 3, b"bye\n", b""),
    ],
)
def test_output_and_status_are_right(
    session: HostSession, script: str, status: int, out: bytes, err: bytes | None
) -> None:
    outcome = session.run(job(script))
    assert (outcome.status, outcome.stdout) == (status, out)
    assert outcome.stderr == err if err is not None else outcome.stderr
    session.kill(STEP)
    assert session.run(Command("echo alive")).out == "alive\n"


def test_a_job_that_was_begun_is_not_begun_again(session: HostSession, tmp_path: Path) -> None:
    effect = job(f"echo happened >>{tmp_path}/effect; echo done; exit 3")
    first, second = session.run(effect), session.run(effect)
    assert (first.status, first.stdout) == (second.status, second.stdout) == (3, b"done\n")
    assert (tmp_path / "effect").read_text() == "happened\n"


def test_two_that_begin_the_same_job_at_once_share_it(
    endpoint: Endpoint, make_pool: MakePool, tmp_path: Path
) -> None:
    sessions = [make_pool(run="twice").session(endpoint) for _ in range(4)]
    effect = job(f"echo happened >>{tmp_path}/effect; sleep 0.3; echo done")
    with ThreadPoolExecutor(4) as workers:
        outcomes = list(workers.map(lambda session: session.run(effect), sessions))
    assert {outcome.stdout for outcome in outcomes} == {b"done\n"}
    assert (tmp_path / "effect").read_text() == "happened\n"


def test_a_job_gets_its_input_environment_and_directory(session: HostSession) -> None:
    value = 'it\'s $(a)\n`b` \\ "c" \u00e9'
    outcome = session.run(
        job('cat; printf %s "$A"; pwd; umask', stdin=b"\0in\xff", env={"A": value}, cwd="/tmp")
    )
    mask = session.run(Command("umask")).out
    assert outcome.stdout == b"\0in\xff" + value.encode() + b"/tmp\n" + mask.encode()


def test_a_job_starts_where_the_login_does(session: HostSession) -> None:
    assert session.run(job("pwd")).out == session.run(Command("pwd")).out


def test_large_output_and_input_come_through(session: HostSession) -> None:
    content = bytes(range(256)) * 20_000
    outcome = session.run(job("tee /dev/stderr", stdin=content))
    assert outcome.stdout == outcome.stderr == content


def test_output_is_shown_while_the_job_runs(session: HostSession) -> None:
    seen: list[tuple[float, bytes]] = []
    begun = time.monotonic()
    outcome = session.run(
        job("for i in 1 2 3; do echo $i; sleep 0.6; done"),
        watch=lambda piece: seen.append((time.monotonic() - begun, piece)),
    )
    assert outcome.stdout == b"".join(piece for _, piece in seen) == b"1\n2\n3\n"
    assert seen[0][0] < 1.2
    assert len(seen) >= 3


def test_what_became_of_a_job_can_be_asked(session: HostSession) -> None:
    assert session.look(STEP).state is JobState.ABSENT
    session.run(job("sleep 0.3; echo out; echo err >&2; exit 9"))
    report = session.look(STEP)
    assert report.state is JobState.ENDED
    assert report.outcome is not None
    assert (report.outcome.status, report.outcome.out, report.outcome.err) == (9, "out\n", "err\n")
    assert 0.2 < report.outcome.seconds < 5


def test_asking_starts_nothing_and_makes_nothing(make_pool: MakePool) -> None:
    session = make_pool(run="asked-only").session(LOCAL)
    session.look(STEP)
    session.kill(STEP)
    assert not _run_folder("asked-only").exists()


def test_the_folder_is_private_and_goes_with_the_run(make_pool: MakePool) -> None:
    pool = make_pool(run="private")
    session = pool.session(LOCAL)
    session.run(job("umask; echo secret"))
    folder = _run_folder("private")
    job_folder = folder / Job.of("private", STEP).folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert job_folder.stat().st_mode & 0o777 == 0o700
    assert (job_folder / "script").stat().st_mode & 0o777 == 0o600
    assert (job_folder / "go").stat().st_mode & 0o777 == 0o600
    pool.close(sweep=True)
    assert not folder.exists()


def test_a_folder_that_others_may_write_is_not_used(make_pool: MakePool, tmp_path: Path) -> None:
    home = _run_folder("open")
    home.mkdir(parents=True)
    home.chmod(0o777)
    try:
        session = make_pool(run="open").session(LOCAL)
        assert session.run(job("echo elsewhere")).ok
        assert list(home.iterdir()) == []
    finally:
        home.rmdir()


def test_a_host_without_a_place_for_the_folder_says_so(make_pool: MakePool) -> None:
    bases = (Path.home() / ".nbops", Path(f"/var/tmp/.nbops-{os.getuid()}"))
    blocks = [base / "run-blocked" for base in bases]
    for block in blocks:
        block.parent.mkdir(mode=0o700, exist_ok=True)
        block.touch()
    try:
        with pytest.raises(ActionFailed, match="run's folder cannot be made"):
            make_pool(run="blocked").session(LOCAL).run(job("true"))
    finally:
        for block in blocks:
            block.unlink()


def test_no_secret_of_a_job_is_seen_in_the_process_list(session: HostSession) -> None:
    script = Secret(
        "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c 'hush[0-9]'; : hush3"
    )
    outcome = session.run(job(script, env={"A": Secret("hush1")}, stdin=b"hush2"))  # type: ignore[arg-type]
    assert outcome.out == "0\n"


def test_a_late_job_is_killed_with_its_strays(session: HostSession) -> None:
    nap = a_nap()
    script = f"setsid sleep {nap} & (trap '' TERM; sleep {nap}; sleep {nap}) & sleep {nap}"
    with pytest.raises(DeadlineExceeded, match=r"was not done after 0.5 s; it was killed"):
        session.run(job(script, deadline=0.5))
    assert alive(nap) == []
    report = session.look(STEP)
    assert report.state is JobState.ENDED
    assert report.outcome is not None
    assert report.outcome.status in {137, 143}
    assert session.run(Command("echo alive")).out == "alive\n"


def test_a_late_command_is_named_without_a_part_of_a_secret(session: HostSession) -> None:
    masker = Masker()
    masker.learn("correct-horse-battery")
    script = f"sleep 9; : {'x' * 50} correct-horse-battery"
    with pytest.raises(DeadlineExceeded) as caught:
        session.run(Command(script, deadline=0.5))
    assert "`sleep 9; : xxx" in str(caught.value)
    assert "corr" not in masker.text(str(caught.value))


def test_an_idle_deadline_of_a_job_counts_from_its_last_output(session: HostSession) -> None:
    talks = job("for i in 1 2 3 4; do echo $i; sleep 0.6; done", deadline=1.6, idle=True)
    assert session.run(talks).ok
    with pytest.raises(DeadlineExceeded, match=r"gave no output for 0\.8 s"):
        session.run(job("echo one; sleep 9", step="other", deadline=0.8, idle=True))


def test_a_job_is_killed_from_another_thread_while_one_waits(session: HostSession) -> None:
    threading.Timer(0.8, lambda: session.kill(STEP)).start()
    begun = time.monotonic()
    assert session.run(job("echo begun; sleep 55")).status == 143
    assert time.monotonic() - begun < 10


def test_a_job_that_catches_its_signal_may_end_as_it_wants(session: HostSession) -> None:
    def kill_when_ready(output: bytes) -> None:
        if b"ready" in output:
            threading.Thread(target=session.kill, args=(STEP,)).start()

    # By the time it is ready no child is between its fork and its exec, where it would still
    # have the trap.
    text = "trap 'echo cleaned; exit 5' TERM; sleep 55 & sleep 0.3; echo ready; wait"
    outcome = session.run(job(text), kill_when_ready)
    assert (outcome.status, outcome.out) == (5, "ready\ncleaned\n")


def test_a_stop_leaves_the_job_running_to_be_found_again(
    endpoint: Endpoint, make_pool: MakePool, tmp_path: Path
) -> None:
    stop = Stop()
    effect = job(f"sleep 3; echo happened >>{tmp_path}/effect; echo done")
    session = make_pool(run="stopped", stop=stop).session(endpoint)
    session.run(Command("true"))
    threading.Timer(0.6, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        session.run(effect)
    assert time.monotonic() - begun < 2.8
    later = make_pool(run="stopped").session(endpoint)
    assert later.look(STEP).state is JobState.RUNNING
    assert later.run(effect).out == "done\n"
    assert (tmp_path / "effect").read_text() == "happened\n"


def test_a_job_of_before_a_restart_is_lost_not_running(make_pool: MakePool) -> None:
    """A restart is told by the boot id: here the recorded one is made another."""
    session = make_pool(run="reboot").session(LOCAL)
    waiter = threading.Thread(target=lambda: _ignore_loss(session))
    waiter.start()
    pid = _run_folder("reboot") / Job.of("reboot", STEP).folder / "pid"
    while not pid.exists() or not pid.read_text():
        time.sleep(0.05)
    words = pid.read_text().split()
    leader = int(words[0])
    assert session.look(STEP).state is JobState.RUNNING
    words[2] = "another-boot"
    pid.write_text(" ".join(words) + "\n")
    later = make_pool(run="reboot").session(LOCAL)
    assert later.look(STEP).state is JobState.LOST
    with pytest.raises(JobLost, match="not known"):
        later.run(job("sleep 20"))
    os.killpg(leader, 9)
    waiter.join(10)


def _ignore_loss(session: HostSession) -> None:
    try:
        session.run(job("sleep 20"))
    except JobLost:
        return


def test_a_job_whose_processes_were_killed_by_another_is_lost(session: HostSession) -> None:
    with pytest.raises(JobLost, match="not known"):
        session.run(job("kill -9 $PPID; sleep 0.2; kill -9 $$"))
    assert session.look(STEP).state is JobState.LOST


@pytest.mark.parametrize("guard", [True, False])
def test_a_job_of_an_older_run_is_refused(
    endpoint: Endpoint, make_pool: MakePool, tmp_path: Path, guard: bool
) -> None:
    record = tmp_path / "lock"
    record.write_text("7\nheld\n")
    if guard:
        (tmp_path / "guard").touch()
    number = 7
    session = make_pool(fence=lambda _host: Fence(str(record), number)).session(endpoint)
    assert session.run(job("echo granted")).out == "granted\n"
    record.write_text("8\nheld\n")
    effect = job(f"touch {tmp_path}/effect", step="two")
    with pytest.raises(FenceRefused, match=r"newer run holds this host \(number 8, this run has 7"):
        session.run(effect)
    assert not (tmp_path / "effect").exists()
    assert session.look("two").state is JobState.ABSENT
    assert session.run(job("echo granted")).out == "granted\n"  # what it began before is its own
    number = 8
    assert session.run(effect).ok


@pytest.mark.parametrize("text", [None, "", "not a number\n"])
def test_a_record_that_is_gone_refuses_too(
    session: HostSession, make_pool: MakePool, tmp_path: Path, text: str | None
) -> None:
    record = tmp_path / "lock"
    if text is not None:
        record.write_text(text)
    fenced = make_pool(fence=lambda _host: Fence(str(record), 3)).session(LOCAL)
    with pytest.raises(ActionFailed, match="gone or cannot be read"):
        fenced.run(job("true"))


def test_a_job_waits_for_whoever_changes_the_record(make_pool: MakePool, tmp_path: Path) -> None:
    record, guard = tmp_path / "lock", tmp_path / "guard"
    record.write_text("1\n")
    guard.touch()
    session = make_pool(fence=lambda _host: Fence(str(record), 1)).session(LOCAL)
    taker = make_pool().session(LOCAL)
    change = f"exec 9>{guard}; flock 9; sleep 1; echo 2 >{record}"
    with ThreadPoolExecutor(1) as workers:
        taking = workers.submit(taker.run, Command(change))
        time.sleep(0.5)
        with pytest.raises(FenceRefused, match="number 2"):
            session.run(job(f"touch {tmp_path}/effect"))
        assert taking.result().ok
    assert not (tmp_path / "effect").exists()


def test_a_job_that_was_late_while_it_waited_never_begins(
    make_pool: MakePool, tmp_path: Path
) -> None:
    record, guard = tmp_path / "lock", tmp_path / "guard"
    record.write_text("1\n")
    guard.touch()
    session = make_pool(fence=lambda _host: Fence(str(record), 1)).session(LOCAL)
    with ThreadPoolExecutor(1) as workers:
        holding = workers.submit(
            make_pool().session(LOCAL).run, Command(f"exec 9>{guard}; flock 9; sleep 2.5")
        )
        time.sleep(0.5)
        with pytest.raises(DeadlineExceeded):
            session.run(job(f"touch {tmp_path}/effect", deadline=0.5))
        assert holding.result().ok
    time.sleep(0.5)
    assert not (tmp_path / "effect").exists()
    assert session.look(STEP).state is JobState.ABSENT


def test_the_sweep_spares_a_run_whose_job_still_runs(make_pool: MakePool) -> None:
    stop = Stop()
    pool = make_pool(run="spared", stop=stop)
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Interrupted):
        pool.session(LOCAL).run(job("sleep 30"))
    later = make_pool(run="spared")
    assert later.session(LOCAL).look(STEP).state is JobState.RUNNING
    later.session(LOCAL).close(sweep=True)
    assert _run_folder("spared").exists()
    last = make_pool(run="spared")
    last.session(LOCAL).kill(STEP)
    last.session(LOCAL).close(sweep=True)
    assert not _run_folder("spared").exists()


def test_the_sweep_takes_away_what_the_run_left_elsewhere(
    make_pool: MakePool, tmp_path: Path
) -> None:
    mark, other = tmp_path / "it's a mark", tmp_path / "other"
    mark.touch()
    other.touch()
    session = make_pool(run="littered").session(LOCAL)
    beside = session.stage(b"").rpartition("/")[0]
    Path(beside, "litter").write_text(f"{mark}\n{tmp_path / 'gone'}\n")
    session.close(sweep=True)
    assert [path.name for path in tmp_path.glob("*")] == ["other"]
    assert not _run_folder("littered").exists()
