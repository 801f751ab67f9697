from __future__ import annotations

from pathlib import Path

import pytest

from nbops.base.command import Command, Effect
from nbops.base.errors import HostFault, HostUnusable
from nbops.base.ids import new_run_id
from nbops.base.retry import Stop
from nbops.transport.machine import Machine
from nbops.transport.pool import Pool
from tests.sshd import SshServer

OTHER = "0123456789abcdef" * 2
MINE = Path("/etc/machine-id").read_text().strip()


def _pool(machine: Machine) -> Pool:
    return Pool(new_run_id(), stop=Stop(), emit=lambda _event: None, machine_of=lambda _: machine)


def _touches(server: SshServer, machine: Machine, file: Path, effect: Effect) -> HostUnusable:
    pool = _pool(machine)
    try:
        with pytest.raises(HostUnusable) as caught:
            session = pool.session(server.endpoint())
            session.run(Command(f"touch {file}", effect=effect, step="s/host1/0"))
        return caught.value
    finally:
        pool.close()


@pytest.mark.sshd
@pytest.mark.parametrize("effect", [Effect.JOB, Effect.NONE])
def test_nothing_is_done_on_another_machine_than_the_run_began_with(
    tmp_path: Path, effect: Effect
) -> None:
    with SshServer(tmp_path / "sshd") as server:
        error = _touches(server, Machine("host1", OTHER), tmp_path / "trace", effect)
    assert error.fault is HostFault.WRONG_MACHINE
    assert OTHER in str(error)
    assert MINE in str(error)
    assert not (tmp_path / "trace").exists()


@pytest.mark.sshd
def test_the_machine_is_noted_when_it_is_met_and_is_the_same_after_a_drop(tmp_path: Path) -> None:
    noted: list[str] = []
    machine = Machine("host1", note=noted.append)
    with SshServer(tmp_path / "sshd") as server:
        pool = _pool(machine)
        session = pool.session(server.endpoint())
        assert session.run(Command("true")).ok
        server.kill_connections()
        assert session.run(Command("true")).ok
        pool.close()
    assert noted == [MINE]


@pytest.mark.sshd
def test_a_host_that_becomes_another_machine_in_the_run_is_refused(tmp_path: Path) -> None:
    """What it is said to be changes here, in place of the machine."""
    machine = Machine("host1")
    with SshServer(tmp_path / "sshd") as server:
        pool = _pool(machine)
        session = pool.session(server.endpoint())
        assert session.run(Command("true")).ok
        machine.id = OTHER
        server.kill_connections()
        with pytest.raises(HostUnusable, match="another machine"):
            session.run(Command(f"touch {tmp_path}/trace"))
        pool.close()
    assert not (tmp_path / "trace").exists()


def test_a_host_without_an_id_is_no_other_machine() -> None:
    noted: list[str] = []
    machine = Machine("host1", note=noted.append)
    machine.meet("-")
    machine.meet(OTHER)
    machine.meet("-")
    assert noted == [OTHER]


def test_two_that_answer_for_one_host_are_told_apart() -> None:
    machine = Machine("host1")
    machine.meet(OTHER)
    with pytest.raises(HostUnusable, match="nothing was done"):
        machine.meet("f" * 32)
