from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actions.echo import listening
from tests.parity.harness import Bench, ansible_environment
from tests.parity.warm import Playbooks
from tests.sshd import SshServer, loopback


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("p")
    with (
        SshServer(folder / "sshd", addresses=loopback(3, net=7)) as server,
        Playbooks(ansible_environment(folder), folder) as playbooks,
        listening() as web,
    ):
        yield Bench(folder, server, playbooks, web)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
