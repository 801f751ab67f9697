"""Jobs where no record of the lock is: a host of the cluster tells whether the run has it still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nbops.base.errors import ActionFailed, FenceRefused, HostFault, HostUnusable
from nbops.base.events import Event
from nbops.base.retry import Stop
from nbops.engine.witness import Witness
from nbops.transport.endpoint import Endpoint
from nbops.transport.pool import Pool
from nbops.transport.session import Fence, Session


class Cluster:
    """Hosts that keep records, each a folder here; `away` cannot be reached."""

    def __init__(self, folder: Path, records: Mapping[str, str], away: Sequence[str] = ()) -> None:
        self.folder = folder
        self.away = set(away)
        self.asked: list[str] = []
        for host, text in records.items():
            (folder / host).write_text(text)

        def emit(_: Event) -> None:
            return

        self.pool = Pool("R1", stop=Stop(), emit=emit)

    def witness(self, number: int = 4) -> Witness:
        def fence(host: str) -> Fence:
            return Fence(str(self.folder / host), number)

        return Witness(("b", "a", "c"), self.session, fence)

    def session(self, host: str) -> Session:
        self.asked.append(host)
        if host in self.away:
            raise HostUnusable("no route", host=host, fault=HostFault.UNREACHABLE)
        return self.pool.session(Endpoint(name=host, address="localhost", connection="local"))


OURS = "4\nheld\n{}\n"


def test_a_run_that_has_the_lock_goes_on(tmp_path: Path) -> None:
    Cluster(tmp_path, {"a": OURS}).witness().check()


def test_a_run_that_lost_the_lock_does_nothing_on_this_computer_either(tmp_path: Path) -> None:
    with pytest.raises(FenceRefused, match=r"a newer run holds a \(number 5, this run has 4\)"):
        Cluster(tmp_path, {"a": "5\nfree\n{}\n"}).witness().check()


@pytest.mark.parametrize("record", ["²", "9" * 5000, "4x", ""])
def test_a_record_that_says_no_number_is_no_witness(tmp_path: Path, record: str) -> None:
    with pytest.raises(ActionFailed, match="is gone or cannot be read"):
        Cluster(tmp_path, {"a": f"{record}\nfree\n{{}}\n"}).witness().check()


def test_a_host_without_a_record_is_no_witness(tmp_path: Path) -> None:
    with pytest.raises(ActionFailed, match="is gone or cannot be read"):
        Cluster(tmp_path, {}).witness().check()


def test_who_cannot_be_reached_is_not_asked_a_second_time(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, {"b": OURS}, away=["a"])
    witness = cluster.witness()
    witness.check()
    witness.check()
    assert cluster.asked == ["a", "b", "b"]


def test_without_any_witness_nothing_is_done(tmp_path: Path) -> None:
    with pytest.raises(HostUnusable, match="no route"):
        Cluster(tmp_path, {}, away=["a", "b", "c"]).witness().check()


def test_nothing_is_asked_before_the_lock_is_taken(tmp_path: Path) -> None:
    cluster: Any = Cluster(tmp_path, {})
    Witness(["a"], cluster.session, lambda _: None).check()
    assert cluster.asked == []
