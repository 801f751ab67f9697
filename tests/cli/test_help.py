"""What `--help` says of each command: what it does, with an example that it would take."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from nbops.cli.main import app
from tests.cli.cli_told import Nbops

_WITHOUT_JSON = {"nbops schema", "nbops lab ssh"}  # JSON in any case; another program's output


def commands(group: Any, name: str = "nbops") -> Iterator[tuple[str, Any]]:
    """Every command with its name as it is typed, those within groups too."""
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


ALL = dict(commands(typer.main.get_command(app)))


def options(command: Any) -> set[str]:
    return {word for one in command.params for word in (*one.opts, *one.secondary_opts)}


def test_every_command_is_seen() -> None:
    assert len(ALL) > 30
    assert {"nbops deploy", "nbops report", "nbops lab up", "nbops lock break"} <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_help_says_what_a_command_does_and_gives_an_example(nbops: Nbops, name: str) -> None:
    told = nbops(*name.split()[1:], "--help")
    text = " ".join(told.out.split())
    assert told.code == 0
    assert text.startswith(f"Usage: {name}")
    assert re.search(rf"Examples?: {name}\b", text)
    assert ALL[name].help


@pytest.mark.parametrize("name", ALL)
def test_the_examples_name_only_options_that_there_are(name: str) -> None:
    example = ALL[name].epilog.split("Exit codes:")[0]
    own = [part.split(" -- ")[0] for part in example.split("nbops ") if part.strip()]
    mine = [part for part in own if f"nbops {part}".startswith(name)]
    words = {word for part in mine for word in re.findall(r"(?<=\s)--?[a-z][a-z-]*", part)}
    assert words <= options(ALL[name])


@pytest.mark.parametrize("name", sorted(set(ALL) - _WITHOUT_JSON))
def test_every_command_speaks_json(name: str) -> None:
    assert "--json" in options(ALL[name])


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_explained(name: str) -> None:
    unexplained = [one.name for one in ALL[name].params if one.opts[0][:1] == "-" and not one.help]
    assert unexplained == []
