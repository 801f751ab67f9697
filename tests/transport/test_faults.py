"""What a network does to a session: drops, silence, restarts. Real sshd, real sockets."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from nbops.base.command import Command
from nbops.base.errors import ConnectionLost, DeadlineExceeded, HostUnusable, Interrupted
from nbops.base.events import Event, Note
from nbops.base.retry import Stop
from nbops.transport.endpoint import Endpoint
from nbops.transport.session import JobState
from tests.proxy import Proxy
from tests.sshd import SshServer
from tests.transport.conftest import MakePool, a_nap, alive, job

pytestmark = pytest.mark.sshd
COUNT = "for i in 1 2 3 4 5 6; do echo $i; echo err$i >&2; sleep 0.3; done"


@pytest.fixture
def proxy(own_server: SshServer) -> Iterator[Proxy]:
    with Proxy((own_server.addresses[0], own_server.port)) as running:
        yield running


def _over(proxy: Proxy, server: SshServer, tmp_path: Path, keepalive: float = 0.3) -> Endpoint:
    known = tmp_path / "known_hosts"
    key = server.known_hosts_text().split(maxsplit=1)[1].splitlines()[0]
    known.write_text(f"[{proxy.address}]:{proxy.port} {key}\n")
    return server.endpoint(
        address=proxy.address,
        port=proxy.port,
        known_hosts=(known,),
        keepalive=keepalive,
        connect_timeout=2.0,
    )


def test_a_job_goes_on_when_its_connection_drops_and_happens_once(
    own_server: SshServer, make_pool: MakePool, events: list[Event], tmp_path: Path
) -> None:
    session = make_pool().session(own_server.endpoint())
    effect = job(f"echo begun >>{tmp_path}/effect; {COUNT}; exit 3")
    seen: list[bytes] = []
    drops = [threading.Timer(after, own_server.kill_connections) for after in (0.5, 1.2)]
    session.run(Command("true"))
    for drop in drops:
        drop.start()
    outcome = session.run(effect, watch=seen.append)
    assert outcome.status == 3
    assert outcome.out.split() == list("123456")
    assert outcome.err.split() == [f"err{i}" for i in range(1, 7)]
    assert len(b"".join(seen)) == len(outcome.stdout) + len(outcome.stderr)
    assert (tmp_path / "effect").read_text() == "begun\n"
    told = [event.message for event in events if isinstance(event, Note)]
    assert any("connection lost" in message for message in told)


def test_a_silent_job_that_takes_longer_than_the_patience_survives_drops(
    own_server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    session = make_pool(reconnect=1.0).session(own_server.endpoint())
    session.run(Command("true"))
    drops = [threading.Timer(after, own_server.kill_connections) for after in (1.5, 3.0)]
    for drop in drops:
        drop.start()
    assert session.run(job(f"echo begun >>{tmp_path}/effect; sleep 4")).status == 0
    assert (tmp_path / "effect").read_text() == "begun\n"


def test_large_output_is_exact_across_a_drop(
    own_server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    session = make_pool().session(own_server.endpoint())
    script = (
        "i=0; while [ $i -lt 40 ]; do "
        "seq $((i*5000)) $((i*5000+4999)); i=$((i+1)); sleep 0.02; done"
    )
    threading.Timer(0.6, own_server.kill_connections).start()
    outcome = session.run(job(script), watch=lambda _piece: None)
    assert outcome.out == "".join(f"{number}\n" for number in range(200_000))


def test_a_probe_is_run_again_from_the_start(
    own_server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    session = make_pool().session(own_server.endpoint())
    session.run(Command("true"))
    threading.Timer(0.5, own_server.kill_connections).start()
    outcome = session.run(Command("echo one; sleep 1; echo two"))
    assert outcome.out == "one\ntwo\n"


def test_an_idle_session_that_was_dropped_is_made_again(
    own_server: SshServer, make_pool: MakePool
) -> None:
    session = make_pool().session(own_server.endpoint())
    session.run(Command("true"))
    own_server.kill_connections()
    assert session.run(Command("echo again")).out == "again\n"


def test_a_job_survives_a_restart_of_sshd(own_server: SshServer, make_pool: MakePool) -> None:
    session = make_pool().session(own_server.endpoint())
    session.run(Command("true"))

    def restart() -> None:
        own_server.stop()
        time.sleep(1)
        own_server.start()

    restarting = threading.Timer(0.4, restart)
    restarting.start()
    assert session.run(job(f"{COUNT}; exit 2")).status == 2
    restarting.join()


def test_a_host_that_stays_away_is_given_up_in_time(
    own_server: SshServer, make_pool: MakePool
) -> None:
    # What a host may take to answer at first is not waited for within that time once more.
    session = make_pool(reconnect=1.5, connect_retries=9).session(own_server.endpoint())
    session.run(Command("true"))
    own_server.stop()
    begun = time.monotonic()
    with pytest.raises(ConnectionLost, match="could not be had again") as caught:
        session.run(Command("true"))
    assert time.monotonic() - begun < 5
    assert caught.value.problems[0].hint
    own_server.start()
    assert session.run(Command("echo back")).out == "back\n"


def test_a_host_that_comes_back_with_another_key_is_refused(
    own_server: SshServer, make_pool: MakePool
) -> None:
    session = make_pool(reconnect=20).session(own_server.endpoint())
    session.run(Command("true"))
    own_server.stop()
    own_server.new_host_key()
    own_server.start()
    begun = time.monotonic()
    with pytest.raises(ConnectionLost, match="CHANGED"):
        session.run(Command("true"))
    assert time.monotonic() - begun < 5


def test_a_black_hole_is_noticed_and_the_job_found_again(
    own_server: SshServer, proxy: Proxy, make_pool: MakePool, tmp_path: Path
) -> None:
    session = make_pool().session(_over(proxy, own_server, tmp_path))
    session.run(Command("true"))

    def vanish() -> None:
        proxy.hole()
        time.sleep(2.0)
        proxy.hole(False)

    threading.Timer(0.4, vanish).start()
    begun = time.monotonic()
    outcome = session.run(job(f"{COUNT}; echo x >>{tmp_path}/effect"))
    assert outcome.out.split() == list("123456")
    assert (tmp_path / "effect").read_text() == "x\n"
    assert time.monotonic() - begun < 25
    assert proxy.accepted >= 2


def test_a_black_hole_while_sending_is_noticed(
    own_server: SshServer, proxy: Proxy, make_pool: MakePool, tmp_path: Path
) -> None:
    session = make_pool().session(_over(proxy, own_server, tmp_path))
    session.run(Command("true"))
    proxy.hole()
    threading.Timer(2.5, lambda: proxy.hole(False)).start()
    content = b"x" * 12_000_000
    assert len(session.run(Command("cat", stdin=content)).stdout) == len(content)


def test_a_frozen_sshd_is_noticed(own_server: SshServer, make_pool: MakePool) -> None:
    session = make_pool().session(own_server.endpoint(keepalive=0.3))
    session.run(Command("true"))
    frozen = own_server.connections()
    threading.Timer(0.3, lambda: own_server.signal_connections(SIGSTOP)).start()
    try:
        assert session.run(job(COUNT)).out.split() == list("123456")
    finally:
        for pid in frozen:
            _quietly_continue(pid)


def _quietly_continue(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, SIGCONT)


def test_an_idle_link_is_kept_and_its_silence_is_no_fault(
    own_server: SshServer, proxy: Proxy, make_pool: MakePool, tmp_path: Path
) -> None:
    session = make_pool().session(_over(proxy, own_server, tmp_path, keepalive=0.2))
    session.run(Command("true"))
    time.sleep(2.0)
    assert session.run(Command("sleep 2; echo calm")).out == "calm\n"
    assert proxy.accepted == 1


def test_a_cut_during_the_handshake_is_unreachable(
    own_server: SshServer, proxy: Proxy, make_pool: MakePool, tmp_path: Path
) -> None:
    proxy.hole()
    endpoint = _over(proxy, own_server, tmp_path)
    with pytest.raises(HostUnusable, match="cannot be reached"):
        make_pool().session(replace(endpoint, connect_timeout=1.0)).run(Command("true"))


def test_the_deadline_of_a_job_counts_while_the_connection_is_away(
    own_server: SshServer, make_pool: MakePool
) -> None:
    session = make_pool().session(own_server.endpoint())
    session.run(Command("true"))
    nap = a_nap()

    def away() -> None:
        own_server.stop()
        time.sleep(1.5)
        own_server.start()

    going = threading.Timer(0.3, away)
    going.start()
    with pytest.raises(DeadlineExceeded):
        session.run(job(f"sleep {nap}", deadline=1.0))
    going.join()
    assert alive(nap) == []


def test_a_job_that_ended_while_the_connection_was_away_is_not_late(
    own_server: SshServer, make_pool: MakePool
) -> None:
    session = make_pool().session(own_server.endpoint())
    session.run(Command("true"))

    def away() -> None:
        own_server.stop()
        time.sleep(1.5)
        own_server.start()

    going = threading.Timer(0.2, away)
    going.start()
    outcome = session.run(job("sleep 0.5; echo in time", deadline=1.0))
    going.join()
    assert outcome.out == "in time\n"


def test_a_stop_ends_the_trying_to_connect_again(
    own_server: SshServer, make_pool: MakePool
) -> None:
    stop = Stop()
    session = make_pool(reconnect=60, stop=stop).session(own_server.endpoint())
    session.run(Command("true"))
    own_server.stop()
    threading.Timer(0.8, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        session.run(Command("true"))
    assert time.monotonic() - begun < 6


def test_a_crashed_controller_finds_its_job_again(
    own_server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    """The first session is left alone in the middle, as after a kill -9."""
    first = make_pool(run="crash").session(own_server.endpoint())
    effect = job(f"echo begun >>{tmp_path}/effect; {COUNT}; exit 6")
    with ThreadPoolExecutor(1) as workers:
        waiting = workers.submit(first.run, effect)
        time.sleep(0.8)
        second = make_pool(run="crash").session(own_server.endpoint())
        assert second.look("0.1/host/a1p0").state is JobState.RUNNING
        outcome = second.run(effect)
        assert (outcome.status, outcome.out.split()) == (6, list("123456"))
        assert waiting.result(20).stdout == outcome.stdout
    assert (tmp_path / "effect").read_text() == "begun\n"


def test_drops_at_random_moments_never_change_what_comes_out(
    own_server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    session = make_pool().session(own_server.endpoint())
    session.run(Command("true"))
    ended = threading.Event()

    def drop() -> None:
        wait = 0.05
        while not ended.wait(wait):
            own_server.kill_connections()
            wait = wait * 1.7 % 0.9 + 0.05

    dropping = threading.Thread(target=drop)
    dropping.start()
    try:
        for number in range(8):
            script = f"echo {number} >>{tmp_path}/effects; seq 1 2000; sleep 0.2; exit {number}"
            outcome = session.run(job(script, step=f"s/{number}"))
            assert outcome.status == number
            assert outcome.out.split() == [str(n) for n in range(1, 2001)]
    finally:
        ended.set()
        dropping.join()
    assert (tmp_path / "effects").read_text().split() == [str(number) for number in range(8)]
