"""A catalog of small actions, and ways to write and load runbooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import Field

from nbops.base.command import Effect
from nbops.base.errors import Problem, UsageError
from nbops.runbook.expr import Layer, Templar, Variables
from nbops.runbook.load import load_runbook
from nbops.runbook.model import Runbook
from nbops.runbook.spec import ActionSpec, Args, NoArgs


class CommandArgs(Args):
    cmd: str = Field(description="The command.")
    chdir: str | None = Field(None, description="The folder to run it in.")
    creates: str | None = Field(None, description="Do nothing when this is there.")
    executable: str | None = Field(None, description="The shell.")


class CopyArgs(Args):
    dest: str = Field(description="The file to write.", alias="dest")
    src: str | None = Field(None, description="The file to copy.")
    content: str | None = Field(None, description="The text to write.")
    mode: str | int | None = Field(None, description="Its mode.")


class DebugArgs(Args):
    msg: Any = Field(None, description="What to say.")
    var: str | None = Field(
        None, description="The expression to show.", json_schema_extra={"expression": True}
    )
    verbosity: int = Field(0, description="Say it from this `-v` on.")


class AssertArgs(Args):
    that: Any = Field(description="What must hold.", json_schema_extra={"expression": True})
    msg: str | None = Field(None, description="What to say when it does not.")


class SetFactArgs(Args):
    model_config = Args.model_config | {"extra": "allow"}


class IncludeArgs(Args):
    file: str = Field(description="The file of tasks.")


class MetaArgs(Args):
    what: str = Field(description="What to do.")


class SmallCatalog:
    """The actions of these tests."""

    def __init__(self, *specs: ActionSpec) -> None:
        self._specs = {spec.name: spec for spec in specs}

    def get(self, name: str) -> ActionSpec | None:
        return self._specs.get(name.removeprefix("ansible.builtin."))

    def __iter__(self) -> Iterator[ActionSpec]:
        return iter(self._specs.values())


def spec(name: str, args: type[Args], **more: Any) -> ActionSpec:
    return ActionSpec(name, args, f"What {name} does.", f"{name}: …", **more)


CATALOG = SmallCatalog(
    spec("command", CommandArgs, free_form="cmd"),
    spec("shell", CommandArgs, free_form="cmd"),
    spec("copy", CopyArgs),
    spec("debug", DebugArgs, effect=Effect.NONE, local=True),
    spec("assert", AssertArgs, effect=Effect.NONE, local=True),
    spec("set_fact", SetFactArgs, effect=Effect.NONE, local=True),
    spec("include_tasks", IncludeArgs, free_form="file", effect=Effect.NONE, flow=True),
    spec("meta", MetaArgs, free_form="what", effect=Effect.NONE, flow=True),
    spec("ping", NoArgs, effect=Effect.NONE),
)


@pytest.fixture(scope="session")
def catalog() -> SmallCatalog:
    return CATALOG


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a file of the runbook's folder, which is the working folder."""
    monkeypatch.chdir(tmp_path)

    def one(text: str, name: str = "r.yml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    return one


@pytest.fixture
def load(write: Callable[..., Path]) -> Callable[[str], Runbook]:
    """Loads a runbook from its text."""
    return lambda text: load_runbook(write(text), CATALOG)


@pytest.fixture
def problems(write: Callable[..., Path]) -> Callable[[str], list[Problem]]:
    """What is wrong with a runbook, from its text."""

    def found(text: str) -> list[Problem]:
        with pytest.raises(UsageError) as caught:
            load_runbook(write(text), CATALOG)
        return list(caught.value.problems)

    return found


@pytest.fixture(scope="session")
def templar() -> Templar:
    return Templar(())


@pytest.fixture
def of(templar: Templar) -> Callable[..., Variables]:
    """Variables: those the user wrote as keywords, those of hosts as a mapping."""

    def make(host: dict[str, Any] | None = None, /, **written: Any) -> Variables:
        layers = [Layer("written", written, True), Layer("host", host or {}, False)]
        return Variables(layers, templar)

    return make
