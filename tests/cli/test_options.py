"""Options: what wins over what, and that each is declared once."""

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from nbops.base.errors import UsageError
from nbops.cli.options import Choice, Output, Target, expand, words


def command(*arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """The groups that a command is given for these arguments."""
    seen: dict[str, Any] = {}
    app = typer.Typer()

    def cmd(
        target: Target,
        choice: Choice,
        output: Output,
        name: Annotated[str, typer.Argument()] = "",
    ) -> None:
        seen.update(target=target, choice=choice, output=output, name=name)

    app.command()(expand(cmd))
    result = CliRunner().invoke(app, list(arguments), env=env)
    assert result.exit_code == 0, result.output
    return seen


def test_without_options_nothing_is_chosen() -> None:
    seen = command()
    assert seen["target"] == Target()
    assert seen["choice"] == Choice()
    assert seen["output"] == Output()


def test_every_option_reaches_its_group() -> None:
    seen = command(
        *("one", "-i", "hosts.yml", "-e", "a=1", "-e", "b=2", "--forks", "7", "--yes"),
        *("--limit", "app", "--tags", "x,y", "--tags", "z", "--skip-tags", "w", "--check"),
        *("--diff", "--json", "--plain", "-vv"),
    )
    assert seen["name"] == "one"
    assert seen["target"] == Target(
        inventory=Path("hosts.yml"), extra_vars=["a=1", "b=2"], forks=7, yes=True
    )
    assert seen["choice"] == Choice(
        limit="app", tags=["x,y", "z"], skip_tags=["w"], check=True, diff=True
    )
    assert seen["output"] == Output(json=True, plain=True, verbosity=2)


def test_the_option_wins_over_the_variable_and_the_variable_over_the_default() -> None:
    env = {"NBOPS_INVENTORY": "variable.yml"}
    assert command(env=env)["target"].inventory == Path("variable.yml")
    assert command("-i", "option.yml", env=env)["target"].inventory == Path("option.yml")


def test_an_argument_wins_over_the_option() -> None:
    target = Target(inventory=Path("option.yml"))
    assert target.inventory_path(Path("argument.yml")) == Path("argument.yml")
    assert target.inventory_path() == Path("option.yml")


def test_the_default_inventory_is_the_one_of_this_folder() -> None:
    Path("inventory.yml").touch()
    assert Target().inventory_path() == Path("inventory.yml")


def test_without_any_inventory_the_hint_says_how_to_get_one() -> None:
    with pytest.raises(UsageError) as caught:
        Target().inventory_path()
    assert "nbops init" in (caught.value.problems[0].hint or "")


def test_tags_may_be_given_together_or_one_by_one() -> None:
    assert words(["a,b", " c ", ","]) == ("a", "b", "c")
    assert words(None) == ()
