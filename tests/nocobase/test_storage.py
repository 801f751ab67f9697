"""Marks in a shared folder: found where it is shared, missed where it is not, and gone after."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from nbops.nocobase import storage
from nbops.nocobase.storage import clear_script, find_script, mark_script

HOSTS = ("node1", "node 2")


def sh(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def test_marks_of_all_are_found_in_one_folder_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "it's shared"
    folder.mkdir()
    for host in HOSTS:
        assert sh(mark_script(str(folder), "run-1", host)).returncode == 0
    found = sh(find_script(str(folder), "run-1", HOSTS))
    assert (found.returncode, found.stdout) == (0, "")
    for host in HOSTS:
        assert sh(clear_script(str(folder), "run-1", host)).returncode == 0
    assert list(folder.iterdir()) == []


def test_a_mark_is_named_before_it_is_there(tmp_path: Path) -> None:
    litter = tmp_path / "litter"
    assert sh(mark_script(str(tmp_path / "none"), "run-1", "node1", str(litter))).returncode == 3
    assert litter.read_text() == f"{tmp_path}/none/.nbops-mark-run-1-node1\n"


def test_a_host_that_wrote_elsewhere_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 1)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    sh(mark_script(str(tmp_path / "a"), "run-1", "node1"))
    sh(mark_script(str(tmp_path / "b"), "run-1", "node2"))
    found = sh(find_script(str(tmp_path / "a"), "run-1", ("node1", "node2")))
    assert (found.returncode, found.stdout) == (0, "node2\n")


def test_a_mark_of_another_run_is_none_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 1)
    sh(mark_script(str(tmp_path), "run-1", "node1"))
    assert sh(find_script(str(tmp_path), "run-2", ["node1"])).stdout == "node1\n"


def test_what_a_killed_run_left_long_ago_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    old, other = tmp_path / ".nbops-mark-run-0-node1", tmp_path / "uploads"
    for path in (old, other):
        path.write_text("")
        os.utime(path, (time.time() - 7200,) * 2)
    sh(mark_script(str(tmp_path), "run-1", "node1"))
    assert {path.name for path in tmp_path.iterdir()} == {"uploads", ".nbops-mark-run-1-node1"}


def test_a_folder_that_is_not_there_is_told_from_one_that_is_not_shared(tmp_path: Path) -> None:
    for script in (
        mark_script(str(tmp_path / "none"), "run-1", "node1"),
        find_script(str(tmp_path / "none"), "run-1", ["node1"]),
    ):
        assert sh(script).returncode == 3
    assert sh(clear_script(str(tmp_path / "none"), "run-1", "node1")).returncode == 0
