"""ansible-playbook without its start: loaded once, then a fork for each run.

As a program it reads requests from its input, one JSON line each, and answers each with the
exit code of the run. The library half starts it and asks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

RECORD = "PARITY_RECORD"
_FAREWELL = 10.0


class Playbooks:
    """Runs playbooks one after the other in forks of one loaded ansible-core."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._said = (folder / "ansible.err").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            env=dict(env),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def __enter__(self) -> Playbooks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def start(self, folder: Path, args: Sequence[str], output: Path, deadline: float) -> None:
        """Begin a run in a folder; `answer` waits for it."""
        request = {
            "folder": str(folder),
            "args": list(args),
            "output": str(output),
            "record": str(output.with_suffix(".jsonl")),
            "deadline": deadline,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> int:
        """The exit code of the run that was begun; negative when it had to be killed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("ansible-playbook ended before its time")
        return int(line)


def _serve() -> None:
    from ansible.cli.playbook import PlaybookCLI  # its import reads the environment

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _play(PlaybookCLI, request)
        answers.write(f"{_wait(child, request['deadline'])}\n")
        answers.flush()


def _play(cli: Any, request: Mapping[str, Any]) -> None:
    """The run itself; never returns: what the parent set up is not to be cleaned up here."""
    code = 250
    try:
        os.setsid()
        os.chdir(request["folder"])
        os.environ[RECORD] = request["record"]
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = _code(cli, ["ansible-playbook", *request["args"]])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _code(cli: Any, args: list[str]) -> int:
    try:
        cli.cli_executor(args)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _wait(child: int, deadline: float) -> int:
    timer = threading.Timer(deadline, os.killpg, (child, signal.SIGKILL))
    timer.start()
    try:
        _, status = os.waitpid(child, 0)
    finally:
        timer.cancel()
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    _serve()
