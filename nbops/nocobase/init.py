"""`nbops init`: an inventory to start from, with freshly drawn secrets beside it."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from nbops.base.errors import Problem, UsageError

EXAMPLE = "inventory.example.yml"
_PACKAGE = Path(__file__).resolve().parent.parent


def example_text() -> str:
    """The example inventory as it is shipped."""
    shipped = _PACKAGE / "shipped" / EXAMPLE
    path = shipped if shipped.exists() else _PACKAGE.parent / EXAMPLE
    return path.read_text(encoding="utf-8")


def write_example(folder: Path) -> list[Path]:
    """Write `inventory.yml` and a folder `secrets/` (mode 0700, its files 0600, each with a
    random value) into `folder`, which is made when it is missing.

    Gives the files written. Raises UsageError when one of them is there already (nothing is
    written then) or the folder cannot be written to.
    """
    keys = folder / "secrets"
    drawn = {
        keys / "app_key": f"{secrets.token_urlsafe(48)}\n",
        keys / "aes_key": f"{secrets.token_hex(32)}\n",
        keys / "db_password": f"{secrets.token_urlsafe(24)}\n",
        keys / "admin_password": f"{secrets.token_urlsafe(18)}\n",
        keys / ".gitignore": "*\n",
        folder / "inventory.yml": example_text(),
    }
    there = [path for path in drawn if os.path.lexists(path)]
    if there:
        raise UsageError.of(
            Problem(f"{path} is there already, and is not overwritten", None, _hint(path))
            for path in there
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        keys.mkdir(mode=0o700, exist_ok=True)
        for path, text in drawn.items():
            _write_new(path, text, 0o644 if path.suffix == ".yml" else 0o600)
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: {error.strerror or error}") from None
    return list(drawn)


def _hint(path: Path) -> str:
    if path.parent.name == "secrets":
        return "a cluster may live by it: name another folder, `nbops init DIR`"
    return "name another folder, `nbops init DIR`, or move the file away"


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write under a temporary name, then give it its own; never over another file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".nbops-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.link(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
