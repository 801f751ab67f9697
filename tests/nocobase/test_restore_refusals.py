"""What a restore refuses before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest

from nbops.actions.api import ActionContext
from nbops.base.errors import RefusedError
from nbops.nocobase.backups import Manifest
from nbops.nocobase.steps.accept import Accept, AcceptArgs
from nbops.nocobase.steps.restore import check_version

Variables = Callable[..., Mapping[str, Any]]


@dataclass
class Context:
    """The context of an action that contacts no host."""

    vars: Mapping[str, Any]
    check: bool = False


def accept(variables: Mapping[str, Any], answer: str, *, given: bool = False) -> None:
    context = Context({**variables, "nbops_accept_data_loss": given})
    Accept().run(AcceptArgs(answer=answer, backup="b-manual"), cast(ActionContext, context))


def backup_of(version: str) -> Manifest:
    facts = {"name": "b-manual", "version": version}
    return cast(Manifest, type("Told", (), facts)())


def test_without_a_word_nothing_is_restored(variables: Variables) -> None:
    with pytest.raises(RefusedError, match="since the backup b-manual would be lost") as refused:
        accept(variables(), "no")
    assert "--accept-data-loss" in str(refused.value.problems[0].hint)
    accept(variables(), "yes")
    accept(variables(), "", given=True)


def test_a_backup_of_another_version_is_refused_with_the_way_to_it() -> None:
    with pytest.raises(RefusedError, match=r"is of version 2\.2\.14, and 2\.2\.15-full runs") as no:
        check_version(backup_of("2.2.14"), "2.2.15-full")
    assert "nbops rollback" in str(no.value.problems[0].hint)


@pytest.mark.parametrize(
    ("made", "runs"), [("2.2.15", "2.2.15-full"), ("", "2.2.15"), ("2.2.14", None)]
)
def test_a_backup_of_this_version_or_of_none_is_taken(made: str, runs: str | None) -> None:
    check_version(backup_of(made), runs)
