"""A report as a file of the user's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from nbops.base.errors import UsageError


def write_report(path: Path, text: str) -> Path:
    """Write a file that only its owner may read (mode 0600), whole or not at all; one that is
    there is replaced at once, and a link to it stays one. Gives `path`.

    Raises UsageError when it cannot be written, and for what is no file, such as a device.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise UsageError(f"{path} is not a file", hint="`-o -` writes to standard output")
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".nbops-")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}", hint="name another with -o"
        ) from None
    return path
