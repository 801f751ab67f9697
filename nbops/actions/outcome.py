"""From what a program did to the keys that Ansible returns for it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from nbops.actions.api import Result
from nbops.base.command import Outcome
from nbops.base.errors import ActionFailed


def failed(msg: str, **values: Any) -> Result:
    """A result that failed, and why."""
    return Result(failed=True, msg=msg, values=values)


def lines_of(name: str, text: str) -> dict[str, Any]:
    """An output and its lines, under Ansible's two keys."""
    return {name: text, f"{name}_lines": text.splitlines()}


def ran(cmd: Any, outcome: Outcome, *, strip: bool) -> dict[str, Any]:
    """The keys of a program that ran just now; `strip` takes empty lines off the ends."""
    end = datetime.now().astimezone().replace(tzinfo=None)
    delta = timedelta(seconds=outcome.seconds)
    out, err = outcome.out, outcome.err
    if strip:
        out, err = out.rstrip("\r\n"), err.rstrip("\r\n")
    return {
        "cmd": cmd,
        "rc": outcome.status,
        "start": str(end - delta),
        "end": str(end),
        "delta": str(delta),
        **lines_of("stdout", out),
        **lines_of("stderr", err),
    }


def plain_errors(outcome: Outcome, shell: str) -> Outcome:
    """The outcome of lines that `shell` read from its third file, with what it complains of
    worded as if they had been given to it as an argument."""
    name = re.escape(shell).encode()
    plain = re.sub(rb"^(%s: \d+: )/dev/fd/3: " % name, rb"\1", outcome.stderr, flags=re.MULTILINE)
    return replace(outcome, stderr=plain)


def must(outcome: Outcome, what: str) -> Outcome:
    """The outcome, when it is one of success. Raises ActionFailed, saying `what` failed."""
    if outcome.ok:
        return outcome
    lines = outcome.err.strip().splitlines()
    reason = lines[-1] if lines else f"exit status {outcome.status}"
    raise ActionFailed(f"{what}: {reason}")
