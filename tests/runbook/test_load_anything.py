"""Whatever YAML a runbook is, it loads or is refused with a place: it never crashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbops.base.errors import UsageError
from nbops.runbook.keywords import KEYWORDS
from nbops.runbook.lint import lint
from nbops.runbook.load import load_runbook
from tests.runbook.conftest import CATALOG

words = st.sampled_from(
    [
        *KEYWORDS,
        *(spec.name for spec in CATALOG),
        "ansible.builtin.copy",
        "import_tasks",
        "strategy",
        "with_items",
        "msg",
        "dest",
        "nmae",
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 900),
    st.floats(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.sampled_from(["{{ x }}", "{{ x", "x == 1", "a=1 b='c", "50%", "in.yml", "", " ", "é\n"]),
    words,
    st.text(max_size=8),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.one_of(words, words, scalars), inner, max_size=4)
    ),
    max_leaves=12,
)
task = st.dictionaries(words, values, min_size=1, max_size=4)
play = st.fixed_dictionaries(
    {"hosts": st.just("all")},
    optional={
        "tasks": st.lists(task, max_size=3),
        "handlers": st.lists(task, max_size=2),
        "vars": values,
        "serial": values,
        "tags": values,
    },
)


def loads(path: Path, data: Any) -> bool:
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    try:
        runbook = load_runbook(path, CATALOG)
    except UsageError as error:
        assert error.problems
        assert all(problem.place or "no such file" in problem.message for problem in error.problems)
        return False
    lint(runbook, CATALOG)
    return True


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.one_of(values, st.lists(play, min_size=1, max_size=2)))
def test_any_yaml_loads_or_is_refused(tmp_path_factory: Any, data: Any) -> None:
    loads(tmp_path_factory.mktemp("rb") / "r.yml", data)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
@given(task)
def test_any_task_loads_or_is_refused(tmp_path_factory: Any, data: Any) -> None:
    loads(tmp_path_factory.mktemp("rb") / "r.yml", [{"hosts": "all", "tasks": [data]}])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
@given(values)
def test_any_arguments_load_or_are_refused(tmp_path_factory: Any, data: Any) -> None:
    folder = tmp_path_factory.mktemp("rb")
    for action in ("copy", "command", "set_fact", "assert", "import_tasks", "include_tasks"):
        loads(folder / "r.yml", [{"hosts": "all", "tasks": [{action: data}]}])
