"""Limits of the box's kernel that many machines at once run into.

All machines share one root user, and with it these counts; each systemd, dbus and
container engine takes some. The limits are raised while labs stand, and put back after.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nbops.lab.state import write_file

# Measured: about 8 inotify instances a machine; 128 is the kernel's default.
NEEDED: Mapping[str, int] = {
    "fs/inotify/max_user_instances": 4096,
    "fs/inotify/max_user_watches": 262144,
}
_SETTINGS = Path("/proc/sys")
_BEFORE = "limits-before.json"


def raise_limits(state_root: Path, settings: Path = _SETTINGS) -> None:
    """Raise what is too low, and remember what it was. The caller holds the labs' lock."""
    memory = state_root / _BEFORE
    before = _read(memory)
    low = {
        name: found
        for name, needed in NEEDED.items()
        if (found := int((settings / name).read_text(encoding="ascii"))) < needed
    }
    if low:
        write_file(memory, json.dumps(low | before))
    for name in low:
        (settings / name).write_text(f"{NEEDED[name]}\n", encoding="ascii")


def restore_limits(state_root: Path, settings: Path = _SETTINGS) -> None:
    """Put back what was raised, unless somebody set it since. The caller holds the lock."""
    memory = state_root / _BEFORE
    for name, value in _read(memory).items():
        if int((settings / name).read_text(encoding="ascii")) == NEEDED.get(name):
            (settings / name).write_text(f"{value}\n", encoding="ascii")
    for path in (memory, *state_root.glob(f".{_BEFORE}.*")):  # and drafts of a killed `up`
        path.unlink(missing_ok=True)


def _read(memory: Path) -> dict[str, int]:
    if not memory.exists():
        return {}
    data = json.loads(memory.read_text(encoding="ascii"))
    return {str(name): int(value) for name, value in data.items()}
