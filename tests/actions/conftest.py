"""A context that carries commands out by a local `sh`: what actions send is tested for real.

The session that carries them over SSH is tested in tests/transport.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nbops.actions.api import Action, Result
from nbops.base.command import Outcome, Text, quote
from nbops.base.errors import ActionFailed
from nbops.base.events import Event
from nbops.base.retry import Stop
from nbops.base.secret import Secret, reveal
from nbops.runbook.expr import Templar

# The `sh` of the host; a run with NBOPS_TEST_SH=/bin/bash shows that another one does as well.
SHELL = os.environ.get("NBOPS_TEST_SH", "/bin/sh")


class LocalContext:
    """An ActionContext whose host is this machine. It counts what it carries out."""

    host = "here"
    become = False
    hosts: Sequence[str] = ("here",)

    def __init__(self, folder: Path, *, check: bool = False, diff: bool = False) -> None:
        self.check = check
        self.diff = diff
        self.vars: Mapping[str, Any] = {}
        self.stop = Stop()
        self.runbook = folder / "runbook"
        self.home = folder / "home"
        self.staging = folder / "staged"
        for place in (self.runbook, self.home, self.staging):
            place.mkdir(exist_ok=True)
        self.env: dict[str, str] = {}
        self.probes: list[Text] = []
        self.acts: list[Text] = []
        self.said: list[str] = []
        self.events: list[Event] = []
        self.renderer: Callable[[str, Mapping[str, Any]], str | Secret] = lambda text, _: text

    def probe(self, script: Text, **options: Any) -> Outcome:
        self.probes.append(script)
        return self._run(script, **options)

    def act(self, script: Text, **options: Any) -> Outcome:
        if self.check:
            raise RuntimeError("acted in check mode")
        self.acts.append(script)
        return self._run(script, **options)

    def _run(
        self,
        script: Text,
        *,
        env: Mapping[str, Text] | None = None,
        stdin: bytes | None = None,
        cwd: str | None = None,
        deadline: float | None = None,
        idle: bool = False,  # noqa: ARG002
        shell: str = "",
        watch: Any = None,  # noqa: ARG002
    ) -> Outcome:
        text = self.staging / "script"
        shell = shell if shell not in {"", "/bin/sh"} else SHELL
        text.write_bytes(b"exec 3<&-; " + reveal(script).encode("utf-8", "surrogateescape"))
        added = {name: reveal(value) for name, value in (env or {}).items()}
        done = subprocess.run(
            ["/bin/sh", "-c", f"exec {shell} -c '. /dev/fd/3' 3<{quote(str(text))}"],
            input=stdin or b"",
            capture_output=True,
            cwd=cwd or self.home,
            env={**os.environ, "HOME": str(self.home), **self.env, **added},
            timeout=min(deadline or 60, 60),
            check=False,
        )
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return Outcome(status, done.stdout, done.stderr, 0.01)

    def stage(self, content: bytes | Path) -> str:
        path = self.staging / f"staged{len(list(self.staging.iterdir()))}"
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        path.chmod(0o600)
        return str(path)

    def fetch(self, path: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise ActionFailed(str(error)) from None

    def render(self, text: str, name: str, extra: Mapping[str, Any] | None = None) -> str | Secret:
        del name
        return self.renderer(text, extra or {})

    def evaluate(self, expression: str) -> Any:
        return Templar().expression(expression, self.vars)

    def holds(self, condition: Any) -> bool:
        return Templar().condition(condition, self.vars)

    def find(self, name: str, folder: str) -> Path:
        for place in (self.runbook / folder / name, self.runbook / name):
            if place.exists():
                return place
        raise ActionFailed(f"{name}: no such file")

    def progress(self, message: str) -> None:
        self.said.append(message)

    def emit(self, event: Event) -> None:
        self.events.append(event)


Do = Callable[..., Result]


@pytest.fixture
def ctx(tmp_path: Path) -> LocalContext:
    """A context on this machine, with a folder of its own."""
    return LocalContext(tmp_path)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder for what actions write."""
    place = tmp_path / "box"
    place.mkdir()
    return place


@pytest.fixture(autouse=True)
def plain_umask() -> Iterator[None]:
    """Files are made as on a fresh host."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def do(action: Action[Any], ctx: Any, **arguments: Any) -> Result:
    """Check the arguments and run the action."""
    return action.run(action.spec.args(**arguments), ctx)


def pytest_configure(config: pytest.Config) -> None:
    """The mark of the tests that ask ansible-core itself: a minute and more."""
    config.addinivalue_line("markers", "ansible: compares with ansible-core on this machine")
