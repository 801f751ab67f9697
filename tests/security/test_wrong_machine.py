"""The machines of a run are kept for whoever goes on with it; see tests/transport/test_machine.py
for what comes of another one."""

from __future__ import annotations

from pathlib import Path

from nbops.journal.store import Journal, RunEntry
from nbops.journal.unfinished import unfinished


def test_the_journal_knows_the_latest_machine_of_each_host(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    entry = RunEntry(
        run="r",
        command="deploy",
        cluster="c",
        operator="o",
        inventory="i",
        runbook="b",
        plan_hash="x",
        plan="{}",
    )
    journal = Journal(file, entry)
    for host, machine in (("node1", "a" * 32), ("node10", "b" * 32), ("node1", "c" * 32)):
        journal.machine(host, machine)
    journal.close()
    assert unfinished(file, "r").machines == {"node1": "c" * 32, "node10": "b" * 32}
