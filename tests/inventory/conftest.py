"""Inventories written to disk, and what ansible-core says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbops.inventory.load import load_inventory
from nbops.inventory.model import Inventory


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """Write `files` (path to text) into `folder`."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes an inventory (and files beside it) and gives its path."""

    def write_one(text: str, files: dict[str, str] | None = None) -> Path:
        write_files(tmp_path, {"inventory.yml": text, **(files or {})})
        return tmp_path / "inventory.yml"

    return write_one


@pytest.fixture
def load(write: Callable[..., Path]) -> Callable[..., Inventory]:
    """Writes an inventory and loads it."""

    def load_one(text: str, files: dict[str, str] | None = None) -> Inventory:
        return load_inventory(write(text, files))

    return load_one


@pytest.fixture(scope="session")
def ask_ansible(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[Any]], list[Any]]:
    """Hands cases to ansible-core and gives its answers."""
    home = tmp_path_factory.mktemp("ansible")

    def ask(cases: list[Any]) -> list[Any]:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("ansible_says.py"))],
            input=json.dumps(cases),
            capture_output=True,
            text=True,
            check=False,
            cwd=home,
            timeout=120,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "LC_ALL": "C.UTF-8",
                "ANSIBLE_DEPRECATION_WARNINGS": "0",
            },
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    return ask
