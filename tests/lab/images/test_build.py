"""A box on which no image can be built says why, and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from nbops.base.errors import LabError
from nbops.base.events import Event
from nbops.lab.images import ensure


def test_programs_that_are_missing_are_named_with_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "npm" else "/bin/it")
    with pytest.raises(LabError, match="npm not installed") as told:
        ensure("sample", ["2.2.15"], tmp_path, list[Event]().append)
    assert told.value.problems[0].hint == "apt-get install npm"


def test_a_full_disk_is_told_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/it")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(LabError, match=r"1\.0 GB free") as told:
        ensure("sample", ["2.2.15"], tmp_path, list[Event]().append)
    assert told.value.problems[0].hint == "free some room on that disk"
