"""The command line in this process, and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.cli.main import call
from tests.cli.cli_told import Nbops, Told

LOCAL = """\
all:
  hosts:
    here: {ansible_connection: local}
    there: {ansible_connection: local}
"""


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("NBOPS_INVENTORY", raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def nbops(capfd: pytest.CaptureFixture[str]) -> Nbops:
    """Runs a command line in this process, through the one place of exit codes."""

    def run(*arguments: str | Path) -> Told:
        capfd.readouterr()
        code = call([str(one) for one in arguments])
        out, err = capfd.readouterr()
        return Told(code, out, err)

    return run


@pytest.fixture
def process() -> Nbops:
    """Runs a command line as a process of its own."""

    def run(*arguments: str, stdin: int | None = subprocess.DEVNULL, **env: str) -> Told:
        done = subprocess.run(
            [sys.executable, "-m", "nbops", *arguments],
            capture_output=True,
            text=True,
            stdin=stdin,
            timeout=60,
            check=False,
            env={**os.environ, **env},
        )
        return Told(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def local() -> Path:
    """An inventory of two hosts that are both this machine."""
    path = Path("inventory.yml")
    path.write_text(LOCAL)
    return path


@pytest.fixture
def runbook() -> Callable[[str], Path]:
    """Writes a runbook: one play on all hosts with these tasks."""

    def write(tasks: str, name: str = "book.yml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        indented = "".join(f"    {row}\n" for row in tasks.strip("\n").splitlines())
        path.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{indented}")
        return path

    return write
