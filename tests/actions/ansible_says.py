"""Runs steps with ansible-core on this machine and gives what each of them registered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_KEYWORDS = frozenset({"check_mode", "diff", "vars"})


def action_of(step: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The action's name and arguments of a step."""
    (name,) = step.keys() - _KEYWORDS
    return name, dict(step[name] or {})


def placed(value: Any, marks: Mapping[str, str | Path]) -> Any:
    """A step with its marks (`@W@`, `@U@`) replaced."""
    if isinstance(value, str):
        for mark, meant in marks.items():
            value = value.replace(mark, str(meant))
        return value
    if isinstance(value, Mapping):
        return {key: placed(item, marks) for key, item in value.items()}
    if isinstance(value, list):
        return [placed(item, marks) for item in value]
    return value


def ansible_results(
    steps: Sequence[Mapping[str, Any]], folder: Path, home: Path
) -> list[dict[str, Any]]:
    """What `register` gives for each step, one after the other, in one playbook run."""
    tasks: list[dict[str, Any]] = []
    for number, step in enumerate(steps):
        name, arguments = action_of(step)
        keywords = {key: value for key, value in step.items() if key in _KEYWORDS}
        tasks.append({name: arguments, "register": f"r{number}", "ignore_errors": True, **keywords})
    every = ", ".join(f"r{number}" for number in range(len(steps)))
    tasks.append({"copy": {"content": f"{{{{ [{every}] | to_json }}}}", "dest": str(home / "out")}})
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (folder / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [str(program), "-i", "localhost,", "play.yml", "-e",
         f"ansible_python_interpreter={sys.executable}"],
        cwd=folder, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "HOME": str(home), "ANSIBLE_LOCALHOST_WARNING": "0",
             "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
             "ANSIBLE_PIPELINING": "1"},
    )  # fmt: skip
    if not (home / "out").exists():
        raise AssertionError(done.stdout[-3000:] + done.stderr[-3000:])
    found: list[dict[str, Any]] = json.loads((home / "out").read_text())
    return found
