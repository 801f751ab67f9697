"""A host's /bin/sh may be another one than dash: the same texts under each that is here."""

import shutil
import threading
from collections.abc import Iterator

import pytest

from nbops.base.command import Command
from nbops.base.errors import DeadlineExceeded
from nbops.base.ids import new_run_id
from nbops.base.retry import Stop
from nbops.transport.host import HostSession
from nbops.transport.local import LocalLink, LocalWire
from nbops.transport.session import JobState
from tests.transport.conftest import a_nap, alive, job

# A busybox that runs its programs without exec hides the marks of strays; not promised.
SHELLS = ("dash", "bash", "bash --posix", "ksh", "mksh")


class _Link(LocalLink):
    """This machine, with another shell as its /bin/sh."""

    def __init__(self, shell: str) -> None:
        self._shell = shell

    def open(self, command: str) -> LocalWire:
        return super().open(command.replace("/bin/sh", self._shell))


@pytest.fixture(params=SHELLS)
def session(request: pytest.FixtureRequest) -> Iterator[HostSession]:
    shell: str = request.param
    if shutil.which(shell.split(maxsplit=1)[0]) is None:
        pytest.skip(f"{shell} is not here")
    made = HostSession(
        "here",
        new_run_id(),
        lambda: _Link(shell),
        stop=Stop(),
        emit=lambda _event: None,
        fence=lambda: None,
    )
    yield made
    made.close(sweep=True)


def test_probes(session: HostSession) -> None:
    outcome = session.run(Command("cat; echo err >&2; kill $$", stdin=b"\0in", env={"A": "'"}))
    assert (outcome.status, outcome.stdout, outcome.stderr) == (143, b"\0in", b"err\n")
    assert session.run(Command("echo alive")).out == "alive\n"


def test_jobs(session: HostSession) -> None:
    seen: list[bytes] = []
    script = "cat; for i in 1 2 3; do echo $i; echo e$i >&2; sleep 0.4; done; exit 3"
    outcome = session.run(job(script, stdin=b"\0in"), watch=seen.append)
    assert (outcome.status, outcome.stdout, outcome.stderr) == (
        3,
        b"\0in1\n2\n3\n",
        b"e1\ne2\ne3\n",
    )
    assert session.run(job(script)).stdout == outcome.stdout
    report = session.look("0.1/host/a1p0")
    assert report.state is JobState.ENDED


def test_ends(session: HostSession) -> None:
    nap = a_nap()
    with pytest.raises(DeadlineExceeded):
        session.run(job(f"setsid sleep {nap} & sleep {nap}", deadline=0.5))
    with pytest.raises(DeadlineExceeded):
        session.run(Command(f"setsid sleep {nap} & sleep {nap}", deadline=0.5))
    assert alive(nap) == []


def test_a_job_that_is_attached_to(session: HostSession) -> None:
    outcomes: list[bytes] = []
    effect = job("for i in 1 2 3; do echo $i; sleep 0.3; done")
    threads = [
        threading.Thread(target=lambda: outcomes.append(session.run(effect).stdout))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert outcomes == [b"1\n2\n3\n"] * 2


def test_files(session: HostSession) -> None:
    assert session.fetch(session.stage(b"\0" * 1000)) == b"\0" * 1000
    assert session.fetch(session.stage(b"x" * 100_000)) == b"x" * 100_000
