"""Connecting: host keys at every hop, logins, jump hosts, and what is said when it fails."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nbops.base.command import Command, Identity
from nbops.base.errors import DeadlineExceeded, HostFault, HostUnusable, Interrupted
from nbops.base.events import Event, Note
from nbops.base.retry import Stop
from nbops.base.secret import Secret
from nbops.transport.endpoint import Endpoint
from nbops.transport.pool import Pool
from tests.proxy import Proxy
from tests.sshd import SshServer, free_port, loopback, make_key
from tests.transport.conftest import LOCAL, MakePool, a_nap, alive, job

pytestmark = pytest.mark.sshd


def _fails(pool: Pool, endpoint: Endpoint) -> HostUnusable:
    with pytest.raises(HostUnusable) as caught:
        pool.session(endpoint).run(Command("true"))
    assert caught.value.host == endpoint.name
    assert caught.value.problems[0].hint
    return caught.value


def _hint(error: HostUnusable) -> str:
    return error.problems[0].hint or ""


def _known(tmp_path: Path, text: str) -> tuple[Path]:
    file = tmp_path / "known"
    file.write_text(text)
    return (file,)


def _fingerprint(server: SshServer) -> str:
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(server.host_key.with_suffix(".pub"))],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return shown.stdout.split()[1]


def test_an_unknown_host_key_is_refused(
    server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    error = _fails(make_pool(), server.endpoint(known_hosts=_known(tmp_path, "")))
    assert error.fault is HostFault.WRONG_HOST_KEY
    assert "not known" in str(error)
    assert _fingerprint(server) in str(error)
    assert f"ssh-keyscan -p {server.port} {server.addresses[0]}" in _hint(error)


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_a_changed_host_key_is_always_refused(
    server: SshServer, make_pool: MakePool, tmp_path: Path, policy: str
) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[1]
    name = f"[{server.addresses[0]}]:{server.port}"
    text = f"# mine\n{name} ssh-ed25519 {other}\n"
    known = _known(tmp_path, text)
    error = _fails(make_pool(), server.endpoint(known_hosts=known, host_keys=policy))
    assert error.fault is HostFault.WRONG_HOST_KEY
    assert "CHANGED" in str(error)
    assert f"{known[0]}:2" in str(error)
    assert f"ssh-keygen -R '{name}'" in _hint(error)
    assert known[0].read_text() == text


def test_a_revoked_host_key_is_refused_even_when_it_is_known(
    server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    line = server.known_hosts_text()
    known = _known(tmp_path, line + "@revoked * " + line.split(maxsplit=1)[1])
    error = _fails(make_pool(), server.endpoint(known_hosts=known, host_keys="accept-new"))
    assert error.fault is HostFault.WRONG_HOST_KEY
    assert "revoked" in str(error)


def test_marked_lines_for_others_do_no_harm(
    server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "k").with_suffix(".pub").read_text().split()[1]
    marked = f"@revoked * ssh-ed25519 {key}\n@cert-authority *.x ssh-ed25519 {key}\n"
    known = _known(tmp_path, marked + server.known_hosts_text())
    assert make_pool().session(server.endpoint(known_hosts=known)).run(Command("true")).ok


def test_a_host_known_by_an_authority_only_is_refused_with_the_reason(
    server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "k").with_suffix(".pub").read_text().split()[1]
    known = _known(tmp_path, f"@cert-authority * ssh-ed25519 {key}\n")
    error = _fails(make_pool(), server.endpoint(known_hosts=known))
    # A pattern without a port does not name a host at another port, as with ssh.
    assert "not known" in str(error)


def test_accept_new_writes_the_key_and_says_so(
    server: SshServer, make_pool: MakePool, events: list[Event], tmp_path: Path
) -> None:
    known = _known(tmp_path, "# mine\n")
    endpoint = server.endpoint(known_hosts=known, host_keys="accept-new")
    assert make_pool().session(endpoint).run(Command("true")).ok
    assert known[0].read_text() == "# mine\n" + server.known_hosts_text(server.addresses[:1])
    assert any(_fingerprint(server) in event.message for event in events if isinstance(event, Note))
    strict = server.endpoint(known_hosts=known)
    assert make_pool().session(strict).run(Command("true")).ok


def test_no_credential_is_offered_to_a_host_with_a_wrong_key(
    own_server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    endpoint = own_server.endpoint(
        known_hosts=_known(tmp_path, ""), password=Secret("hush"), user="someone"
    )
    _fails(make_pool(), endpoint)
    assert "someone" not in own_server.log()


def test_an_rsa_key_that_is_known_is_asked_for(make_pool: MakePool, tmp_path: Path) -> None:
    """The server has two keys, only the one that it would not show first is known."""
    extra = make_key(tmp_path / "extra_ed25519")
    options = [f"HostKey {extra}"]
    with SshServer(tmp_path / "sshd", key_kind="rsa", options=options) as server:
        assert make_pool().session(server.endpoint()).run(Command("true")).ok


def test_a_server_with_weak_algorithms_only_is_refused(make_pool: MakePool, tmp_path: Path) -> None:
    options = ["KexAlgorithms diffie-hellman-group14-sha1"]
    with SshServer(tmp_path / "sshd", options=options) as server:
        error = _fails(make_pool(), server.endpoint())
    assert error.fault is HostFault.UNREACHABLE
    assert "kex" in str(error).lower() or "key exchange" in str(error).lower()


def test_a_wrong_user_key_is_told_with_what_was_tried(
    server: SshServer, make_pool: MakePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = make_key(tmp_path / "wrong")
    error = _fails(make_pool(), server.endpoint(key_files=(key, tmp_path / "missing")))
    assert error.fault is HostFault.WRONG_KEY
    assert str(key) in str(error)
    assert "not there" in str(error)
    assert "ssh-add" in _hint(error)


@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_a_key_that_everyone_can_read_is_not_used(
    make_pool: MakePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with SshServer(tmp_path / "sshd") as server:
        server.user_key.chmod(mode)
        error = _fails(make_pool(), server.endpoint())
        assert error.fault is HostFault.WRONG_KEY
        assert f"can read or write it: `chmod 600 {server.user_key}`" in str(error)


def test_a_key_with_a_passphrase_is_told(
    server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    key = tmp_path / "locked"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "hush-hush", "-f", str(key)], check=True
    )
    error = _fails(make_pool(), server.endpoint(key_files=(key,)))
    assert "passphrase" in str(error)


def test_a_key_with_a_passphrase_is_opened_with_the_password(
    make_pool: MakePool, tmp_path: Path
) -> None:
    with SshServer(tmp_path / "sshd") as server:
        locked = ["ssh-keygen", "-q", "-p", "-N", "hush-hush", "-f", str(server.user_key)]
        subprocess.run(locked, check=True, capture_output=True)
        assert (
            make_pool()
            .session(server.endpoint(password=Secret("hush-hush")))
            .run(Command("true"))
            .ok
        )


def test_a_refused_port_is_unreachable(make_pool: MakePool, server: SshServer) -> None:
    error = _fails(make_pool(), server.endpoint(port=free_port()))
    assert error.fault is HostFault.UNREACHABLE
    assert "refused" in str(error)


def test_a_name_that_is_none_is_unreachable(make_pool: MakePool, server: SshServer) -> None:
    error = _fails(make_pool(), server.endpoint(address="no-such-host.invalid"))
    assert error.fault is HostFault.UNREACHABLE
    assert "resolved" in str(error)


def test_something_else_than_ssh_is_unreachable_in_time(
    make_pool: MakePool, server: SshServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begun = time.monotonic()
        error = _fails(
            make_pool(), server.endpoint(address="127.0.0.1", port=port, connect_timeout=1.0)
        )
    assert error.fault is HostFault.UNREACHABLE
    assert time.monotonic() - begun < 6


def test_a_host_that_starts_late_is_tried_again(make_pool: MakePool, tmp_path: Path) -> None:
    server = SshServer(tmp_path / "sshd")
    starting = threading.Timer(0.7, server.start)
    starting.start()
    try:
        pool = make_pool(connect_retries=8)
        assert pool.session(server.endpoint()).run(Command("echo up")).out == "up\n"
        pool.close(sweep=True)
    finally:
        starting.join()
        server.stop()


def test_all_unusable_hosts_are_named_at_once_in_order(
    server: SshServer, make_pool: MakePool, tmp_path: Path
) -> None:
    endpoints = [
        server.endpoint(0, name="a", port=free_port()),
        server.endpoint(1, name="b"),
        server.endpoint(2, name="c", known_hosts=_known(tmp_path, "")),
        server.endpoint(0, name="d", key_files=(make_key(tmp_path / "wrong"),)),
        LOCAL,
    ]
    errors = make_pool().connect_all(endpoints, forks=3)
    assert [(error.host, error.fault) for error in errors] == [
        ("a", HostFault.UNREACHABLE),
        ("c", HostFault.WRONG_HOST_KEY),
        ("d", HostFault.WRONG_KEY),
    ]


def test_ipv6_addresses_work(make_pool: MakePool, tmp_path: Path) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    port = free_port()
    with SshServer(tmp_path / "sshd", addresses=("127.0.0.1", "::1"), port=port) as server:
        assert make_pool().session(server.endpoint(1)).run(Command("true")).ok


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture
def jumps(tmp_path: Path) -> Iterator[tuple[SshServer, SshServer, SshServer]]:
    """Two jump hosts and a target, each with a key of its own."""
    names = ("one", "two", "target")
    servers = [
        SshServer(tmp_path / name, addresses=loopback(1, net=10 + number))
        for number, name in enumerate(names)
    ]
    try:
        for server in servers:
            server.start()
        yield servers[0], servers[1], servers[2]
    finally:
        for server in servers:
            server.stop()


def test_a_chain_of_jump_hosts_is_gone(
    jumps: tuple[SshServer, SshServer, SshServer], make_pool: MakePool
) -> None:
    one, two, target = jumps
    endpoint = target.endpoint(
        name="db", jumps=(one.endpoint(name="one"), two.endpoint(name="two"))
    )
    session = make_pool().session(endpoint)
    came_from = session.run(Command("echo $SSH_CONNECTION")).out.split()[0]
    assert session.stage(b"x" * 200_000)
    assert came_from.startswith("127.")
    assert one.connections()
    assert two.connections()
    one.kill_connections()
    assert session.run(Command("echo again")).out == "again\n"


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_every_hop_must_have_its_host_key(
    jumps: tuple[SshServer, SshServer, SshServer], make_pool: MakePool, tmp_path: Path, wrong: int
) -> None:
    known = _known(tmp_path, "")
    hops = [
        server.endpoint(name=name, **({"known_hosts": known} if number == wrong else {}))
        for number, (name, server) in enumerate(zip(("one", "two", "db"), jumps, strict=True))
    ]
    error = _fails(make_pool(), replace(hops[2], jumps=(hops[0], hops[1])))
    assert error.fault is HostFault.WRONG_HOST_KEY
    assert ("one", "two", "db")[wrong] in str(error)
    if wrong == 0:
        assert "Accepted" not in jumps[0].log()


def test_a_link_needs_few_round_trips(
    make_pool: MakePool, server: SshServer, tmp_path: Path
) -> None:
    """Over a proxy that adds 50 ms in each direction: 100 ms a round trip."""
    key = server.known_hosts_text().split(maxsplit=1)[1].splitlines()[0]
    with Proxy((server.addresses[0], server.port), delay=0.05) as proxy:
        known = _known(tmp_path, f"[{proxy.address}]:{proxy.port} {key}\n")
        pool = make_pool()
        session = pool.session(
            server.endpoint(address=proxy.address, port=proxy.port, known_hosts=known)
        )
        begun = time.monotonic()
        session.run(Command("true"))
        connected = time.monotonic() - begun
        begun = time.monotonic()
        for _ in range(5):
            session.run(Command("true"))
        each = (time.monotonic() - begun) / 5
        pool.close(sweep=True)
    assert connected < 2.5
    assert each < 0.2


def test_root_through_sudo_has_a_home_and_jobs_of_its_own(
    make_pool: MakePool, server: SshServer, sudo: None
) -> None:
    pool = make_pool()
    session = pool.session(server.endpoint())
    nobody = Identity("nobody")
    assert session.run(Command("id -un", identity=nobody)).out == "nobody\n"
    assert session.run(Command("id -un")).out == f"{server.user}\n"
    outcome = session.run(job("id -un; cat", identity=nobody, stdin=b"\0x"))
    assert outcome.stdout == b"nobody\n\0x"
    path = session.stage(b"y" * 100_000, nobody)
    assert session.fetch(path, nobody) == b"y" * 100_000
    assert "/var/tmp/.nbops-" in path  # nobody has no home
    owner = session.run(Command('stat -c "%U %a" -- "$P"', env={"P": path})).out
    assert owner == "nobody 600\n"
    session.close(sweep=True)
    assert not Path(path).parent.exists()


def test_a_late_job_of_another_identity_is_killed(
    make_pool: MakePool, server: SshServer, sudo: None
) -> None:
    nap = a_nap()
    session = make_pool().session(server.endpoint())
    nobody = Identity("nobody")
    with pytest.raises(DeadlineExceeded):
        session.run(job(f"setsid sleep {nap} & sleep {nap}", identity=nobody, deadline=0.5))
    with pytest.raises(DeadlineExceeded):
        session.run(Command(f"setsid sleep {nap} & sleep {nap}", identity=nobody, deadline=0.5))
    assert alive(nap) == []


def test_sudo_that_refuses_is_a_fault_with_its_reason(
    make_pool: MakePool, server: SshServer, sudo: None
) -> None:
    pool = make_pool()
    endpoint = server.endpoint(name="web")
    with pytest.raises(HostUnusable, match="sudo to no-such-user was refused") as caught:
        pool.session(endpoint).run(Command("true", identity=Identity("no-such-user")))
    assert caught.value.fault is HostFault.SUDO_REFUSED
    errors = pool.connect_all([endpoint], identities={"web": Identity("no-such-user")})
    assert [error.fault for error in errors] == [HostFault.SUDO_REFUSED]
    assert pool.session(endpoint).run(Command("echo login")).out == "login\n"


STUB = """#!/bin/sh
# Asks for a password as `sudo -S -p PROMPT` does, then runs what stands after `--`.
while [ "$1" != -- ]; do [ "$1" != -p ] || p=$2; [ "$1" != -n ] || n=1; shift; done
[ -z "$n" ] || { echo 'sudo: a password is required' >&2; exit 1; }
for try in 1 2 3; do
  printf %s "$p" >&2; read -r given || exit 1
  if [ "$given" = 'open sesame' ]; then shift; exec "$@"; fi
  echo 'Sorry, try again.' >&2
done
exit 1
"""


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[SshServer]:
    """A host whose sudo asks for a password: a stand-in, as the real one needs an account."""
    stub = tmp_path / "bin" / "sudo"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    options = [f"SetEnv PATH={stub.parent}:/usr/bin:/bin"]
    with SshServer(tmp_path / "sshd", options=options) as running:
        yield running


def test_a_sudo_password_is_given_when_it_is_asked_for(
    asking: SshServer, make_pool: MakePool
) -> None:
    session = make_pool().session(asking.endpoint())
    root = Identity("root", password=Secret("open sesame"))
    assert session.run(Command("cat", stdin=b"mine", identity=root)).stdout == b"mine"
    assert session.run(Command("cat", identity=root)).stdout == b""


def test_a_wrong_or_missing_sudo_password_is_a_fault(
    asking: SshServer, make_pool: MakePool
) -> None:
    session = make_pool().session(asking.endpoint())
    with pytest.raises(HostUnusable, match="the password was not accepted") as wrong:
        session.run(Command("true", identity=Identity("nobody", password=Secret("hush"))))
    with pytest.raises(HostUnusable, match="a password is required") as missing:
        session.run(Command("true", identity=Identity("nobody")))
    assert wrong.value.fault is missing.value.fault is HostFault.SUDO_REFUSED
    assert "hush" not in str(wrong.value)


def test_a_sudo_that_asks_for_nothing_is_given_nothing(
    make_pool: MakePool, server: SshServer, sudo: None
) -> None:
    session = make_pool().session(server.endpoint())
    nobody = Identity("nobody", password=Secret("never needed"))
    outcome = session.run(Command("id -un; cat", identity=nobody))
    assert (outcome.out, outcome.err) == ("nobody\n", "")


def test_a_stop_does_not_wait_for_a_handshake(make_pool: MakePool, server: SshServer) -> None:
    stop = Stop()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = server.endpoint(address="127.0.0.1", port=silent.getsockname()[1])
        threading.Timer(0.3, stop.set).start()
        begun = time.monotonic()
        with pytest.raises(Interrupted):
            make_pool(stop=stop).session(endpoint).run(Command("true"))
    assert time.monotonic() - begun < 5


def test_a_closed_session_connects_anew_without_a_word(
    make_pool: MakePool, server: SshServer, events: list[Event]
) -> None:
    session = make_pool().session(server.endpoint())
    session.run(Command("true"))
    session.close()
    assert session.run(Command("echo again")).out == "again\n"
    assert events == []


def test_an_idle_host_costs_one_thread(make_pool: MakePool, server: SshServer) -> None:
    before = threading.active_count()
    pool = make_pool()
    endpoints = [server.endpoint(number) for number in range(3)]
    assert pool.connect_all(endpoints) == []
    time.sleep(0.3)
    assert threading.active_count() - before <= 3
    assert {f"ssh {endpoint.name}" for endpoint in endpoints} <= {
        thread.name for thread in threading.enumerate()
    }


def test_this_machine_needs_no_paramiko() -> None:
    check = (
        "import sys; from nbops.base.command import Command; from nbops.base.retry import Stop; "
        "from nbops.transport.pool import Pool; from nbops.transport.endpoint import Endpoint; "
        "pool = Pool('light', stop=Stop(), emit=print); "
        "print(pool.session(Endpoint('h', 'h', connection='local')).run(Command('true')).status); "
        "pool.close(); print({'paramiko', 'fabric'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    shown = subprocess.run(
        [sys.executable, "-c", check], cwd=root, check=True, capture_output=True, text=True
    )
    assert shown.stdout.split() == ["0", "set()"]


def test_su_works_where_it_needs_no_password(make_pool: MakePool, server: SshServer) -> None:
    if server.user != "root":
        pytest.skip("su asks for a password when it is not root who asks")
    session = make_pool().session(server.endpoint())
    nobody = Identity("nobody", method="su")
    assert session.run(Command("id -un", identity=nobody)).out == "nobody\n"


def test_links_that_are_opened_together_leave_their_shared_settings_alone(
    server: SshServer, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged: list[str] = []
    pool = make_pool()
    pool.session(server.endpoint()).run(Command("true"))
    monkeypatch.setattr("fabric.Config.merge", lambda _: merged.append("empty for a moment"))
    for number in range(3):
        endpoint = replace(server.endpoint(), name=f"host{number}")
        assert pool.session(endpoint).run(Command("true")).ok
    assert merged == []
