"""Machines for tests: labs under names of their own, removed at the end."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from nbops.base.events import Emit, Event
from nbops.lab.bringup import Sources
from nbops.lab.lab import Lab, list_labs
from nbops.lab.layout import App, Wish
from nbops.lab.state import CACHE
from tests.lab.rehearsal import Rehearsal


@pytest.fixture(scope="session")
def no_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage of a registry that holds nothing: enough for the machines themselves."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def new_lab(no_images: Path) -> Iterator[Callable[..., Rehearsal]]:
    """Makes labs under names of their own; those that stand at the end are removed."""
    made: list[Rehearsal] = []

    def images(app: App, versions: Sequence[str], cache: Path, emit: Emit) -> Path:
        return no_images

    def make(cache: Path = CACHE) -> Rehearsal:
        events: list[Event] = []
        name = f"t-{uuid.uuid4().hex[:8]}"
        sources = Sources(images, images)
        made.append(Rehearsal(Lab(name, events.append, cache=cache, sources=sources), events))
        return made[-1]

    yield make
    for each in made:
        if each.lab.name in list_labs():
            each.lab.down()


@pytest.fixture(scope="session")
def two_nodes(new_lab: Callable[..., Rehearsal]) -> Rehearsal:
    """A lab that stands, with two nodes, shared by all tests that do no harm to it."""
    rehearsal = new_lab()
    rehearsal.lab.up(Wish(nodes=2, app="sample"))
    return rehearsal
