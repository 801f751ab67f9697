"""Which secrets are words that stand everywhere anyway."""

import pytest

from nbops.base.secret import Secret
from nbops.cli.openly import openly
from nbops.engine.variables import World


@pytest.mark.parametrize(
    ("word", "is_open"),
    [
        ("nocobase", True),
        ("nocobase_release", True),
        ("shopdb", True),
        ("node7", True),
        ("hunter2-of-the-shop", False),
    ],
)
def test_words_of_nbops_and_of_the_settings_are_open(word: str, is_open: bool) -> None:
    database = {"name": "shopdb", "password": Secret("hunter2-of-the-shop")}
    world = World(
        inventory={},
        groups={},
        group_names={"node7": ["app"]},
        settings={"node7": {"nocobase": {"database": database}}},
    )
    assert openly(world)(word) is is_open
