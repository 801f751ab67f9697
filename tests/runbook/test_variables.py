"""Variables: layers, laziness, loops, and what is never rendered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.errors import ActionFailed, Place
from nbops.base.yamlpos import load_text
from nbops.runbook.expr import OMIT, Layer, Templar, Variables

Of = Callable[..., Variables]
TEMPLAR = Templar(())

evil = st.one_of(
    st.sampled_from(["{{ 1 + 1 }}", "{% if true %}x{% endif %}", "{{ secret }}", "{# c #}x"]),
    st.text(),
)
data = st.recursive(evil, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(data)
def test_what_came_from_a_host_is_never_rendered(value: Any) -> None:
    variables = Variables([Layer("host", {"r": value}, template=False)], TEMPLAR)
    assert variables["r"] == value
    assert TEMPLAR.render("{{ r }}", variables) == value


@given(evil)
def test_host_text_stays_data_on_its_way_through_the_users_variables(text: str) -> None:
    variables = Variables(
        [
            Layer("written", {"x": "{{ r.out }}", "y": "{{ x }}", "z": ["{{ y }}"]}, True),
            Layer("host", {"r": {"out": text}}, False),
        ],
        TEMPLAR,
    )
    assert variables["x"] == text
    assert variables["y"] == text
    assert variables["z"] == [text]
    assert TEMPLAR.text("{{ z[0] }}", variables, "t") == text


@given(evil)
def test_host_text_as_a_default_an_item_or_an_argument_is_not_rendered(text: str) -> None:
    variables = Variables([Layer("host", {"t": text, "l": [text]}, False)], TEMPLAR)
    assert TEMPLAR.render({"a": ["{{ nope | default(t) }}"]}, variables) == {"a": [text]}
    assert TEMPLAR.render("{% for i in l %}{{ i }}{% endfor %}", variables) in {text, None}
    assert TEMPLAR.render("{{ 'x' ~ t }}", variables) == "x" + text
    assert TEMPLAR.condition("t == l[0]", variables) is True


def test_a_text_is_an_expression_only_when_the_user_wrote_it() -> None:
    said = "n == " + str(3)
    written, host = Layer("written", {"n": 3, "wanted": said}, True), {"said": f"n == {3}"}
    variables = Variables([written, Layer("host", host, False)], TEMPLAR)
    assert TEMPLAR.condition("{{ wanted }}", variables) is True
    assert TEMPLAR.condition("{{ nope | default(wanted) }}", variables) is True
    for text in ("{{ said }}", "{{ wanted ~ '' }}", "wanted"):
        with pytest.raises(ActionFailed, match="must have a boolean result"):
            TEMPLAR.condition(text, variables)


def test_later_layers_win(templar: Templar) -> None:
    variables = Variables([Layer("a", {"x": 1, "y": 1}, True), Layer("b", {"x": 2}, True)], templar)
    assert (variables["x"], variables["y"]) == (2, 1)
    assert sorted(variables) == ["x", "y"]
    assert len(variables) == 2
    assert variables.get("nope", 5) == 5


def test_a_layer_can_be_put_beneath_another(templar: Templar) -> None:
    base = Variables([Layer("play", {"x": 1}, True), Layer("extra", {"x": 9}, True)], templar)
    assert base.with_layer(Layer("task", {"x": 5}, True))["x"] == 5
    assert base.with_layer(Layer("task", {"x": 5}, True), beneath="extra")["x"] == 9
    assert base["x"] == 9


def test_a_variable_sees_the_layers_of_the_task_that_reads_it(of: Of) -> None:
    variables = of(greeting="hello {{ who }}")
    assert variables.with_layer(Layer("task", {"who": "you"}, True))["greeting"] == "hello you"


def test_an_undefined_leaf_does_not_break_its_siblings(of: Of, templar: Templar) -> None:
    variables = of(big={"good": "{{ 1 + 1 }}", "bad": "{{ nope }}", "deep": [1, "{{ nope }}"]})
    assert templar.render("{{ big.good }}", variables) == 2
    assert templar.render("{{ big.deep[0] }}", variables) == 1
    assert templar.render("{{ big.bad | default('d') }}", variables) == "d"
    assert templar.condition("big.bad is undefined and 'bad' in big", variables)
    with pytest.raises(ActionFailed, match=r"'nope' is undefined \(in variable `big\.bad`\)"):
        templar.render("{{ big }}", variables)


def test_variables_that_need_each_other_are_named(of: Of, templar: Templar) -> None:
    variables = of(a="{{ b }}", b={"c": "{{ a }}"})
    with pytest.raises(ActionFailed, match=r"`a` → `b\.c` → `a`"):
        templar.render("{{ a }}", variables)


def test_a_variable_may_use_another_part_of_itself(of: Of) -> None:
    assert of(d={"home": "/srv", "app": "{{ d.home }}/app"})["d"]["app"] == "/srv/app"


def test_a_fault_names_the_place_of_the_variable(templar: Templar) -> None:
    values = load_text("a: 1\nb:\n  c: '{{ nope }}'\n", "vars.yml")
    variables = Variables([Layer("file", values, True)], templar)
    with pytest.raises(ActionFailed, match=r"vars\.yml:3:6"):
        templar.render("{{ b.c }}", variables)


def test_the_place_of_an_argument_is_that_of_its_leaf(of: Of, templar: Templar) -> None:
    args = load_text("dest: /x\nlines:\n  - ok\n  - '{{ nope }}'\n", "r.yml")
    with pytest.raises(ActionFailed) as caught:
        templar.render(args, of(), Place("r.yml", 1))
    assert caught.value.problems[0].place == Place("r.yml", 4, 5)


def test_a_misspelt_variable_is_answered_with_the_nearest(of: Of, templar: Templar) -> None:
    with pytest.raises(ActionFailed) as caught:
        templar.render("{{ databse_host }}", of(database_host="db"))
    assert caught.value.problems[0].hint == "did you mean `database_host`?"


def test_values_are_rendered_once(of: Of) -> None:
    variables = of(x="{{ ['a'] }}", y=["{{ x }}"])
    assert variables["y"] == [["a"]]
    variables["y"][0].append("b")
    assert variables["y"] == [["a"]]


def test_expressions_cannot_change_variables(of: Of, templar: Templar) -> None:
    variables = of({"r": {"l": [1]}}, w={"l": [1]})
    for name in ("r", "w"):
        with pytest.raises(ActionFailed, match="append"):
            templar.render(f"{{% set _ = {name}.l.append(2) %}}{{{{ {name} }}}}", variables)
        with pytest.raises(ActionFailed, match="update"):
            templar.render(f"{{% set _ = {name}.update({{'q': 1}}) %}}", variables)
        assert templar.render(f"{{{{ {name}.pop('l') }}}}", variables) == [1]
    assert variables["r"] == {"l": [1]}
    assert variables["w"] == {"l": [1]}


def test_omit_takes_its_item_away_and_is_itself_alone(of: Of, templar: Templar) -> None:
    args = {"mode": "{{ nope | default(omit) }}", "l": ["{{ omit }}", 1]}
    assert templar.render(args, of()) == {"l": [1]}
    assert templar.render("{{ omit }}", of()) is OMIT


def test_keys_are_not_templates(of: Of, templar: Templar) -> None:
    assert templar.render({"{{ x }}": "{{ x }}"}, of(x=1)) == {"{{ x }}": 1}


def test_other_hosts_variables_are_read_lazily(of: Of, templar: Templar) -> None:
    other = of(port="{{ 8000 + 1 }}", broken="{{ nope }}")
    variables = of({"hostvars": {"b": other}, "names": ["b"]})
    assert templar.render("{{ hostvars['b'].port }}", variables) == 8001
    assert templar.render("{{ names | map('extract', hostvars, 'port') | list }}", variables) == [
        8001
    ]
    assert templar.condition("hostvars.b.nope is undefined", variables)
    assert templar.condition("'b' in hostvars and 'c' not in hostvars", variables)
    assert templar.condition("'broken' in hostvars.b and hostvars | length == 1", variables)


def test_all_variables_are_in_vars(of: Of, templar: Templar) -> None:
    assert templar.render("{{ vars['x'] }}{{ vars.x }}", of(x="a")) == "aa"


def test_plain_mappings_are_taken_as_data(templar: Templar) -> None:
    assert templar.render("{{ x }}", {"x": "{{ 1 }}"}) == "{{ 1 }}"


def test_text_without_templates_is_given_back_as_it_is(of: Of, templar: Templar) -> None:
    text = "no { template } here"
    assert templar.render(text, of()) is text
