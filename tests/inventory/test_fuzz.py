"""Whatever stands in an inventory, it is loaded or refused with a usage error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbops.base.errors import UsageError
from nbops.inventory.connection import become_of, endpoint_of
from nbops.inventory.load import load_inventory
from nbops.nocobase.settings import load_settings

WORDS = st.sampled_from(
    [
        "all",
        "app",
        "db",
        "database",
        "redis",
        "balancer",
        "ungrouped",
        "hosts",
        "vars",
        "children",
        "nocobase",
        "node[1:2]",
        "n1",
        "n1:22",
        "ansible_host",
        "ansible_port",
        "ansible_ssh_common_args",
        "ansible_group_priority",
        "ansible_become",
        "cluster",
        "version",
        "runtime",
        "secrets",
        "app_key",
        "file",
        "env",
        "command",
        "port",
        "url",
        "cache",
        "x",
        "[a]",
        "~",
        "!",
        "''",
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 70_000), st.floats(), WORDS, st.text(max_size=8)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(WORDS, st.integers(), st.booleans()), inner, max_size=4),
    ),
    max_leaves=25,
)
SECTIONS = st.dictionaries(
    st.sampled_from(
        [
            "cluster",
            "version",
            "image",
            "runtime",
            "database",
            "redis",
            "balancer",
            "storage",
            "secrets",
            "plugins",
            "env",
            "backup",
            "verify",
            "upgrade",
            "ssh",
            "other",
        ]
    ),
    TREES,
)
quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inventory.yml"


def try_all(path: Path) -> None:
    try:
        inventory = load_inventory(path)
    except UsageError as error:
        assert all(problem.message for problem in error.problems)
        return
    for host in inventory.hosts:
        inventory.vars_of(host)
        for ask in (endpoint_of, become_of):
            try:
                ask(inventory, host)
            except UsageError as error:
                assert error.problems
    try:
        load_settings(inventory)
    except UsageError as error:
        assert error.problems


@quick
@given(text=st.text(max_size=200))
def test_any_text(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try_all(path)


@quick
@given(data=TREES)
def test_any_tree(path: Path, data: Any) -> None:
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    try_all(path)


@quick
@given(data=SECTIONS)
def test_any_settings(path: Path, data: Any) -> None:
    tree = {"all": {"vars": {"nocobase": data}}, "app": {"hosts": {"a": None, "b": None}}}
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    try_all(path)


@quick
@given(data=st.dictionaries(WORDS, LEAVES, max_size=5))
def test_any_variables(path: Path, data: Any) -> None:
    path.write_text(yaml.safe_dump({"app": {"hosts": {"a": data}}}), encoding="utf-8")
    try_all(path)
