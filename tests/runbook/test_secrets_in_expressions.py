"""Whatever an expression makes of a secret is a secret, with its real value inside."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.errors import ActionFailed
from nbops.base.secret import MASK, Secret
from nbops.runbook.expr import Layer, Templar, Variables

TEMPLAR = Templar(())
VALUE = "p@ss word"
NAMES: dict[str, Any] = {
    "s": Secret(VALUE),
    "n": Secret("42"),
    "j": Secret('{"k": ["v"], "n": 1}'),
    "blank": Secret(""),
    "a": "A",
    "d": {"p": Secret(VALUE), "u": "me", "l": [Secret("q1"), 1]},
    "l": ["x", Secret("yy")],
    "through": "{{ a }}:{{ s }}",
    "env": {"URL": "pg://{{ d.u }}:{{ d.p | urlencode }}@db", "PLAIN": "{{ a }}"},
}


def variables() -> Variables:
    return Variables([Layer("v", NAMES, True)], TEMPLAR)


def shown(value: Any) -> Any:
    """A value with its secrets as `("secret", text)`."""
    if isinstance(value, Secret):
        return ("secret", value.reveal())
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return value


WHOLE = {
    "{{ s }}": VALUE,
    "{{ a }}:{{ s }}": f"A:{VALUE}",
    "{{ through }}": f"A:{VALUE}",
    "{{ s ~ a }}": VALUE + "A",
    "{{ a ~ s ~ blank }}": "A" + VALUE,
    "{{ a + s }}": "A" + VALUE,
    "{{ s * 2 }}": VALUE * 2,
    "{{ '%s-%s' % (a, s) }}": f"A-{VALUE}",
    "{{ '%(k)s' % {'k': s} }}": VALUE,
    "{{ '%s' | format(s) }}": VALUE,
    "{{ '{}x'.format(s) }}": VALUE + "x",
    "{{ '-'.join(l) }}": "x-yy",
    "{{ s.upper() }}": VALUE.upper(),
    "{{ s[0:2] }}": "p@",
    "{{ s[0] }}": "p",
    "{{ s | urlencode }}": "p%40ss%20word",
    "{{ s | b64encode }}": "cEBzcyB3b3Jk",
    "{{ s | b64encode | b64decode }}": VALUE,
    "{{ s | quote }}": f"'{VALUE}'",
    "{{ s | upper | lower | trim }}": VALUE,
    "{{ s | replace('p', 'q') }}": "q@ss word",
    "{{ 'a-b' | replace('a', s) }}": VALUE + "-b",
    "{{ s | regex_replace('@', '') }}": "pss word",
    "{{ s | regex_search('p.') }}": "p@",
    "{{ s | default('x') }}": VALUE,
    "{{ nope | default(s) }}": VALUE,
    "{{ s if true else a }}": VALUE,
    "{{ true | ternary(s, a) }}": VALUE,
    "{{ n | int }}": "42",
    "{{ n | int + 0 if false else n }}": "42",
    "{{ l | join(',') }}": "x,yy",
    "{{ l | last }}": "yy",
    "{{ d.p }}": VALUE,
    "{{ d['p'] }}": VALUE,
    "{{ d.get('p') }}": VALUE,
    "x{{ d.l }}": "x['q1', 1]",
    "{{ d | to_json }}": '{"p": "p@ss word", "u": "me", "l": ["q1", 1]}',
    "{{ d.l | to_yaml }}": "[q1, 1]\n",
    "{{ d.l | string }}": "['q1', 1]",
    "{{ env.URL }}": "pg://me:p%40ss%20word@db",
    "{% set x %}a{{ s }}{% endset %}{{ x }}": "a" + VALUE,
    "{% macro m(q) %}<{{ q }}>{% endmacro %}{{ m(s) }}": f"<{VALUE}>",
    "{% filter upper %}{{ s }}{% endfilter %}": VALUE.upper(),
    "{% for i in l %}{{ i }};{% endfor %}": "x;yy;",
    "{% for k, v in d.items() %}{{ k }}={{ v }} {% endfor %}": (f"p={VALUE} u=me l=['q1', 1] "),
    "{{ namespace(q=s).q }}": VALUE,
    "{{ dict(q=s).q }}": VALUE,
    "{{ cycler(s, a).next() }}": VALUE,
    "{{ [s, a] | first }}": VALUE,
    "{{ (j | from_json).k[0] }}": "v",
}


@pytest.mark.parametrize("text", list(WHOLE))
def test_a_secret_operand_makes_a_secret_of_the_whole(text: str) -> None:
    assert shown(TEMPLAR.render(text, variables())) == ("secret", WHOLE[text])


def test_a_digest_of_a_secret_is_a_secret() -> None:
    value = TEMPLAR.render("{{ s | hash('sha256') }}", variables())
    plain = TEMPLAR.render(f"{{{{ '{VALUE}' | hash('sha256') }}}}", variables())
    assert shown(value) == ("secret", plain)


IN_PLACE: dict[str, Any] = {
    "{{ d }}": {"p": ("secret", VALUE), "u": "me", "l": [("secret", "q1"), 1]},
    "{{ [s, a] }}": [("secret", VALUE), "A"],
    "{{ {'k': s} }}": {"k": ("secret", VALUE)},
    "{{ d | combine({'x': s, 'u': 'you'}) }}": {
        "p": ("secret", VALUE),
        "u": "you",
        "l": [("secret", "q1"), 1],
        "x": ("secret", VALUE),
    },
    "{{ d | dict2items | map(attribute='value') | list }}": [
        ("secret", VALUE),
        "me",
        [("secret", "q1"), 1],
    ],
    "{{ l + [s] }}": ["x", ("secret", "yy"), ("secret", VALUE)],
    "{{ l | map('upper') | list }}": ["X", ("secret", "YY")],
    "{{ l | select('equalto', 'yy') | list }}": [("secret", "yy")],
    "{{ l | difference(['yy']) }}": ["x"],
    "{{ [[s], [a]] | flatten }}": [("secret", VALUE), "A"],
    "{{ [{'key': 'q', 'value': s}] | items2dict }}": {"q": ("secret", VALUE)},
    "{{ [a] | zip([s]) | list }}": [["A", ("secret", VALUE)]],
    "{{ s | split('@') }}": [("secret", "p"), ("secret", "ss word")],
    "{{ j | from_json }}": {"k": [("secret", "v")], "n": ("secret", "1")},
    "{{ env }}": {"URL": ("secret", "pg://me:p%40ss%20word@db"), "PLAIN": "A"},
}


@pytest.mark.parametrize("text", list(IN_PLACE))
def test_secrets_stay_in_their_place_in_lists_and_mappings(text: str) -> None:
    assert shown(TEMPLAR.render(text, variables())) == IN_PLACE[text]


PLAIN: dict[str, Any] = {
    "s == 'p@ss word'": True,
    "'p@ss word' == s": True,
    "s != 'x'": True,
    "'ss' in s": True,
    "s in ['p@ss word']": True,
    "s is defined and s is string": True,
    "s is match('p')": True,
    "s | length == 9": True,
    "s < 'z'": True,
    "n == '42'": True,
    "d == {'p': 'x'}": False,
    "l == ['x', 'yy']": True,
    "not blank": True,
    "(s | bool) or true": True,
}


@pytest.mark.parametrize("text", list(PLAIN))
def test_comparing_and_testing_a_secret_gives_plain_truth(text: str) -> None:
    assert TEMPLAR.condition(text, variables()) is PLAIN[text]


def test_the_text_of_a_template_file_with_a_secret_is_a_secret() -> None:
    assert shown(TEMPLAR.text("PASSWORD={{ s }}\n", variables(), "env.j2")) == (
        "secret",
        f"PASSWORD={VALUE}\n",
    )
    assert TEMPLAR.text("A={{ a }}\n", variables(), "env.j2") == "A=A\n"


def test_a_secret_cannot_be_unwrapped() -> None:
    for text in ("{{ s.reveal() }}", "{{ s._value }}", "{{ s['_value'] }}", "{{ s.__class__ }}"):
        with pytest.raises(ActionFailed):
            TEMPLAR.render(text, variables())


@pytest.mark.parametrize("text", ["{{ s | from_json }}", "{{ s + 1 }}", "{{ '%d' % s }}"])
def test_an_error_does_not_tell_the_secret(text: str) -> None:
    with pytest.raises(ActionFailed) as caught:
        TEMPLAR.render(text, variables())
    assert VALUE not in str(caught.value)
    assert "withheld" in str(caught.value)


@given(st.text(min_size=1).filter(lambda t: t != MASK), st.sampled_from(sorted(WHOLE)))
def test_no_expression_puts_the_mask_into_a_value_or_the_value_into_plain_text(
    value: str, text: str
) -> None:
    layer = Layer("v", {**NAMES, "s": Secret("§" + value), "d": {"p": Secret("§" + value)}}, True)
    try:
        result = TEMPLAR.render(text, Variables([layer], TEMPLAR))
    except ActionFailed as error:
        assert "§" not in str(error)
        return
    for leaf in leaves(result):
        if isinstance(leaf, Secret):
            assert MASK not in leaf.reveal()
        else:
            assert "§" not in str(leaf)


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@given(st.text(alphabet=st.characters(exclude_characters="\x00")))
def test_quote_makes_one_word_of_any_text(text: str) -> None:
    import shlex

    quoted = TEMPLAR.render("{{ t | quote }}", {"t": text})
    assert shlex.split(quoted) == [text]
    assert shown(TEMPLAR.render("{{ t | quote }}", {"t": Secret(text)})) == ("secret", quoted)
