"""Hosts that cannot be used: exit code 4, all of them named at once, nothing changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.cli_told import Nbops
from tests.sshd import SshServer, free_port, loopback, make_key

pytestmark = pytest.mark.sshd


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path / "sshd", addresses=loopback(4, net=7)) as running:
        yield running


def host(server: SshServer, number: int, **different: object) -> str:
    """The variables of a host: one of the server's addresses, all well unless told otherwise."""
    known = different.pop("known_hosts", server.known_hosts)
    config = server.folder / "ssh_config"
    config.touch()
    variables = {
        "ansible_host": server.addresses[number],
        "ansible_port": server.port,
        "ansible_user": server.user,
        "ansible_ssh_private_key_file": server.user_key,
        "ansible_ssh_common_args": f"-F {config} -o UserKnownHostsFile={known}",
    } | different
    return "{" + ", ".join(f"{key}: {value}" for key, value in variables.items()) + "}"


def test_all_are_named_at_once_with_the_reason_of_each(
    nbops: Nbops, server: SshServer, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other_key")
    swapped = tmp_path / "known_hosts"
    key = " ".join(other.with_suffix(".pub").read_text().split()[:2])
    swapped.write_text(f"[{server.addresses[2]}]:{server.port} {key}\n")
    nbops("init")
    text = Path("inventory.yml").read_text().split("  children:\n")[0]
    hosts = {
        "app": f"fine: {host(server, 0)}",
        "balancer": f"away: {host(server, 1, ansible_port=free_port())}",
        "database": f"swapped: {host(server, 2, known_hosts=swapped)}",
        "redis": f"stranger: {host(server, 3, ansible_ssh_private_key_file=other)}",
    }
    text += "  children:\n"
    text += "".join(f"    {group}: {{hosts: {{{one}}}}}\n" for group, one in hosts.items())
    Path("inventory.yml").write_text(text)

    told = nbops("deploy")

    assert told.code == 4, told.err
    for name in ("away", "swapped", "stranger"):
        assert name in told.err
    assert "fine" not in told.err
    assert told.err.count("error: ") == 3
    assert told.err.count("  hint: ") == 3
    assert "TASK" not in told.out


def test_exec_shows_what_came_of_the_others(nbops: Nbops, server: SshServer) -> None:
    Path("inventory.yml").write_text(
        "all:\n  hosts:\n"
        f"    fine: {host(server, 0)}\n"
        f"    away: {host(server, 1, ansible_port=free_port())}\n"
    )
    told = nbops("exec", "all", "--", "echo here")
    assert told.code == 1, "it was done on one of them"
    assert "        | here" in told.out
    assert "away" in told.err
