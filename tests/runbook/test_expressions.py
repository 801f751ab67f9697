"""Templates, conditions, template files and lookups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.base.errors import ActionFailed, NbopsError, Place
from nbops.runbook.expr import Templar, Variables

Of = Callable[..., Variables]
HERE = Place("r.yml", 7, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rb" / "files").mkdir(parents=True)
    (tmp_path / "rb" / "templates").mkdir()
    (tmp_path / "rb" / "files" / "key").write_text("{{ not_rendered }}\n")
    (tmp_path / "rb" / "templates" / "in.j2").write_text("<{{ x }}>\n")
    (tmp_path / "outside").write_text("no")
    (tmp_path / "rb" / "link").symlink_to(tmp_path / "outside")
    return tmp_path / "rb"


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ x.__init__.__globals__ }}",
        "{{ lookup.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ x.format.__self__.__class__ }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ self.__init__ }}",
        "{{ vars._templar }}",
    ],
)
def test_expressions_cannot_leave_the_sandbox(text: str, of: Of, templar: Templar) -> None:
    with pytest.raises(NbopsError):
        templar.render(text, of(x="t"))


def test_a_condition_must_give_true_or_false(of: Of, templar: Templar) -> None:
    with pytest.raises(ActionFailed) as caught:
        templar.condition("l | length", of(l=[1]), HERE)
    problem = caught.value.problems[0]
    assert problem.place == HERE
    assert "was derived from value of type 'int'" in problem.message
    assert problem.hint is not None


def test_a_condition_in_braces_is_understood(of: Of, templar: Templar) -> None:
    assert templar.condition("{{ x == 1 }}", of(x=1)) is True


def test_an_undefined_name_is_told_with_its_place(of: Of, templar: Templar) -> None:
    with pytest.raises(ActionFailed, match=r"r\.yml:7:3: 'nope' is undefined"):
        templar.condition("nope == 1", of(), HERE)


def test_an_expression_without_braces_gives_its_value(of: Of, templar: Templar) -> None:
    assert templar.expression("l + [2]", of(l=[1])) == [1, 2]


def test_a_template_file_keeps_its_lines(of: Of, templar: Templar) -> None:
    text = "a={{ x }}\n{% if x %}\nb\n{% endif %}\n  {% if x %}\nc\n  {% endif %}\nend\n"
    assert templar.text(text, of(x=1), "t.j2") == "a=1\nb\n  c\n  end\n"


def test_none_in_a_template_file_is_nothing(of: Of, templar: Templar) -> None:
    assert templar.text("[{{ x }}]", of(x=None), "t.j2") == "[]"
    assert templar.text("{{ x }}", of(x=[1, True]), "t.j2") == "[1, True]"


def test_a_backslash_in_a_template_file_is_that_of_jinja(of: Of, templar: Templar) -> None:
    assert templar.text("{{ 'a\\nb' }}", of(), "t.j2") == "a\nb"
    assert templar.render("{{ 'a\\nb' }}", of()) == "a\\nb"


def test_a_template_file_may_set_its_own_options(of: Of, templar: Templar) -> None:
    text = "#jinja2: trim_blocks: False, variable_start_string: '[%', variable_end_string: '%]'\n"
    assert templar.text(text + "{% if 1 %}\n[% x %]{% endif %}", of(x=5), "t") == "\n5"
    options = {"variable_start_string": "<<", "variable_end_string": ">>"}
    assert templar.text("<< x >>{{ x }}", of(x=5), "t", options) == "5{{ x }}"
    with pytest.raises(ActionFailed, match="trim_block"):
        templar.text("#jinja2: trim_block: False\n", of(), "t")


def test_a_fault_in_a_template_file_names_its_line(of: Of, templar: Templar) -> None:
    with pytest.raises(ActionFailed) as undefined:
        templar.text("a\nb\n{{ nope }}\n", of(), "t.j2")
    assert undefined.value.problems[0].place == Place("t.j2", 3)
    with pytest.raises(ActionFailed) as syntax:
        templar.text("a\n{% fi %}\n", of(), "t.j2")
    assert syntax.value.problems[0].place == Place("t.j2", 2)


def test_a_template_may_include_its_neighbours(of: Of, folder: Path) -> None:
    templar = Templar([folder])
    variables = of(x="{{ y }}", y=1)
    assert templar.text("{% include 'in.j2' %}", variables, "t") == "<1>"
    looped = "{% for x in ['a', 'b'] %}{% include 'in.j2' %}{% endfor %}"
    assert templar.text(looped, variables, "t") == "<a><b>"


def test_lookups_read_files_templates_and_the_environment(
    of: Of, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBOPS_TEST_VALUE", "{{ v }}")
    templar = Templar([folder])
    variables = of(x=1)
    assert templar.render("{{ lookup('env', 'NBOPS_TEST_VALUE') }}", variables) == "{{ v }}"
    assert templar.render("{{ lookup('file', 'key') }}", variables) == "{{ not_rendered }}"
    assert templar.render("{{ lookup('template', 'in.j2') }}", variables) == "<1>\n"
    assert templar.render("{{ query('file', 'key', 'key') | length }}", variables) == 2
    assert templar.render("{{ lookup('file', 'nope', errors='ignore') }}", variables) is None


@pytest.mark.parametrize("name", ["../outside", "files/../../outside", "link", "/etc/passwd"])
def test_no_lookup_leaves_the_runbooks_folder(name: str, of: Of, folder: Path) -> None:
    with pytest.raises(ActionFailed, match="outside the runbook's folder"):
        Templar([folder]).render("{{ lookup('file', n) }}", of(n=name))
    with pytest.raises(ActionFailed):
        Templar([folder]).text("{% include n %}", of(n=name), "t")


@pytest.mark.parametrize("name", ["pipe", "url", "password", "ansible.builtin.pipe"])
def test_other_lookups_are_refused_by_name(name: str, of: Of, templar: Templar) -> None:
    with pytest.raises(ActionFailed, match=f"lookup `{name}` is not supported"):
        templar.render("{{ lookup(n, 'id') }}", of(n=name))


def test_a_task_looks_beside_its_own_file_first(of: Of, folder: Path) -> None:
    sub = folder / "sub"
    (sub / "files").mkdir(parents=True)
    (sub / "files" / "key").write_text("near")
    inner = Templar([folder]).within(sub)
    assert inner.render("{{ lookup('file', 'key') }}", of()) == "near"
    assert inner.within(sub) is inner


def test_a_failing_filter_is_named(of: Of, templar: Templar) -> None:
    with pytest.raises(ActionFailed, match="the filter `from_json` failed"):
        templar.render("{{ 'x' | from_json }}", of())


def test_what_is_no_data_cannot_be_a_value(of: Of, templar: Templar) -> None:
    with pytest.raises(ActionFailed, match="no value that can be kept"):
        templar.render("{{ d.items }}", of(d={}))


def test_a_templar_serves_many_threads(of: Of, templar: Templar) -> None:
    from concurrent.futures import ThreadPoolExecutor

    variables = of(base=1, x="{{ base + 1 }}", y={"z": "{{ x + 1 }}"})
    with ThreadPoolExecutor(8) as pool:
        values = pool.map(lambda _: templar.render("{{ y.z }}", variables), range(200))
        assert set(values) == {3}
