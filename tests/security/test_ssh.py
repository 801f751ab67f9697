"""What is offered to a server, and when."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from nbops.base.command import Command
from nbops.base.errors import HostFault, HostUnusable
from nbops.base.ids import new_run_id
from nbops.base.retry import Stop
from nbops.base.secret import Secret
from nbops.transport.pool import Pool
from tests.sshd import SshServer, make_key

pytestmark = pytest.mark.sshd


def _refusal(server: SshServer, **settings: object) -> HostUnusable:
    pool = Pool(new_run_id(), stop=Stop(), emit=lambda _event: None)
    try:
        with pytest.raises(HostUnusable) as caught:
            pool.session(server.endpoint(**settings)).run(Command("true"))  # type: ignore[arg-type]
        return caught.value
    finally:
        pool.close()


def _whole(server: SshServer) -> str:
    """What the server wrote, when it has written that the connection is over."""
    until = time.monotonic() + 10
    while not re.search(r"Connection (closed|reset) by", server.log()):
        assert time.monotonic() < until, server.log()
        time.sleep(0.05)
    return server.log()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["KexAlgorithms diffie-hellman-group14-sha1"], "kex"),
        (["KexAlgorithms diffie-hellman-group-exchange-sha1"], "kex"),
        (["Ciphers aes256-cbc"], "cipher"),
        (["Ciphers 3des-cbc"], "cipher"),
        (["Ciphers aes256-ctr", "MACs hmac-sha1"], "mac"),
        (["Ciphers aes256-ctr", "MACs hmac-md5-96,hmac-sha1-96"], "mac"),
    ],
)
def test_a_server_that_has_nothing_but_weak_algorithms_is_refused(
    tmp_path: Path, options: list[str], word: str
) -> None:
    with SshServer(tmp_path / "sshd", options=options) as server:
        error = _refusal(server, password=Secret("hush-hush"))
        assert "Accepted" not in server.log()
        assert "Failed" not in server.log()
    assert error.fault is HostFault.UNREACHABLE
    assert word in str(error).lower()


def test_a_signature_with_sha1_is_refused(tmp_path: Path) -> None:
    options = ["HostKeyAlgorithms ssh-rsa"]
    with SshServer(tmp_path / "sshd", key_kind="rsa", options=options) as server:
        assert "key" in str(_refusal(server)).lower()


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_nothing_is_offered_to_a_host_whose_key_has_changed(tmp_path: Path, policy: str) -> None:
    """Neither key nor password nor even the user's name."""
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[1]
    options = ["LogLevel DEBUG2"]
    with SshServer(tmp_path / "sshd", options=options) as server:
        known = tmp_path / "known_hosts"
        known.write_text(f"[{server.addresses[0]}]:{server.port} ssh-ed25519 {other}\n")
        error = _refusal(
            server,
            known_hosts=(known,),
            host_keys=policy,
            user="somebody",
            password=Secret("hush-hush"),
        )
        log = _whole(server)
    assert error.fault is HostFault.WRONG_HOST_KEY
    assert "SSH2_MSG_KEX_ECDH_INIT received" in log
    assert "somebody" not in log
    assert "userauth-request" not in log
