"""Sessions for the tests: on this machine, and over a real sshd on loopback addresses."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbops.base.command import Command, Effect
from nbops.base.events import Event
from nbops.base.ids import new_run_id
from nbops.base.retry import Stop
from nbops.transport.endpoint import Endpoint
from nbops.transport.host import HostSession
from nbops.transport.pool import Pool
from nbops.transport.session import Fence
from tests.sshd import SshServer, loopback

MakePool = Callable[..., Pool]


@pytest.fixture
def events() -> list[Event]:
    """What the pools of `make_pool` said."""
    return []


@pytest.fixture
def make_pool(events: list[Event]) -> Iterator[MakePool]:
    """Pools that are swept and closed after the test, each with a run of its own."""
    pools: list[Pool] = []

    def make(
        *,
        run: str = "",
        stop: Stop | None = None,
        fence: Callable[[str], Fence | None] = lambda _host: None,
        reconnect: float = 20.0,
        connect_retries: int = 0,
    ) -> Pool:
        pool = Pool(
            run or new_run_id(),
            stop=stop or Stop(),
            emit=events.append,
            fence_of=fence,
            reconnect=reconnect,
            connect_retries=connect_retries,
        )
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.close(sweep=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """One sshd with three addresses, for tests that do it no harm."""
    folder = tmp_path_factory.mktemp("sshd")
    with SshServer(folder, addresses=loopback(3)) as running:
        yield running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[SshServer]:
    """An sshd of the test's own, to be killed, stopped and given other keys."""
    with SshServer(tmp_path / "sshd", addresses=loopback(2, net=2)) as running:
        yield running


LOCAL = Endpoint("here", "localhost", connection="local")


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.sshd)])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """This machine as a host of both kinds."""
    if request.param == "local":
        return LOCAL
    server: SshServer = request.getfixturevalue("server")
    return server.endpoint()


@pytest.fixture
def session(endpoint: Endpoint, make_pool: MakePool) -> HostSession:
    """A session with a host of both kinds."""
    return make_pool().session(endpoint)


@pytest.fixture
def local(make_pool: MakePool) -> HostSession:
    """A session with this machine."""
    return make_pool().session(LOCAL)


def job(script: str, step: str = "0.1/host/a1p0", **settings: object) -> Command:
    """A command that runs as a job."""
    return Command(script, effect=Effect.JOB, step=step, **settings)  # type: ignore[arg-type]


def a_nap() -> str:
    """Seconds to sleep, about a minute, written as nobody else on this machine does."""
    return f"6{secrets.randbelow(10)}.{secrets.randbelow(10**9):09}"


def alive(text: str) -> list[int]:
    """The processes whose command line holds `text` and that are no zombies."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
            state = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if text.encode() in line and state not in "ZX":
            found.append(int(folder.name))
    return found


@pytest.fixture
def sudo() -> None:
    """The real sudo, which lets root become anybody without a word of configuration."""
    if shutil.which("sudo") is None:
        pytest.skip("sudo is not installed: apt-get install sudo")
    if os.geteuid() != 0:
        pytest.skip("only root may use sudo here without configuration")
