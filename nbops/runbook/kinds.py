"""Values of keywords: checked as far as they are literal, and brought into one form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nbops.base.errors import Place
from nbops.base.yamlpos import did_you_mean, place_of
from nbops.runbook import keywords
from nbops.runbook.expr import in_braces, is_template
from nbops.runbook.keywords import Keyword, Kind
from nbops.runbook.model import LoopControl, Retry
from nbops.runbook.reading import Source
from nbops.runbook.syntax import expression_problems, template_problems, texts_in

_TRUE = frozenset({"yes", "true", "on", "1", "y", "t"})
_FALSE = frozenset({"no", "false", "off", "0", "n", "f"})


def convert(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    """A keyword's value for the model; None when it is not written or wrong (noted then)."""
    if raw is None:
        return None
    if keyword.kind is not Kind.CONDITIONS:
        check_templates(raw, place, source)
    return _CONVERTERS[keyword.kind](keyword, raw, place, source)


def check_templates(raw: Any, place: Place | None, source: Source) -> None:
    """Note every fault of the templates in a value, at any depth."""
    for text, where in texts_in(raw, place):
        if is_template(text):
            source.reading.extend(template_problems(text, where))


def check_conditions(raw: Any, place: Place | None, source: Source) -> tuple[Any, ...]:
    """Conditions as a tuple; what cannot be one is noted."""
    found: list[Any] = []
    several = isinstance(raw, list | tuple)
    for number, one in enumerate(raw if several else [raw]):
        where = (place_of(raw, (number,)) if several else None) or place
        if isinstance(one, str) and one.strip():
            check = template_problems if in_braces(one) else expression_problems
            source.reading.extend(check(one.strip(), where))
        elif not isinstance(one, bool):
            source.add("a condition is true, false or the text of an expression", where)
            continue
        found.append(one)
    return tuple(found)


def check_names(names: Iterable[Any], places: Mapping[Any, Place], source: Source) -> None:
    """Note every name that cannot be a variable's."""
    for name in names:
        if not (isinstance(name, str) and name.isidentifier() and name.isascii()):
            hint = "letters, digits and `_`, not beginning with a digit"
            source.add(f"`{name}` cannot be the name of a variable", places.get(name), hint)


def _wrong(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> None:
    shown = f"`{raw}`" if isinstance(raw, str | int | float | bool) else f"a {_kind_of(raw)}"
    source.add(f"`{keyword.name}` takes: {keyword.kind}; not {shown}", place)


def _kind_of(raw: Any) -> str:
    return {"YamlMap": "mapping", "YamlSeq": "list"}.get(type(raw).__name__, type(raw).__name__)


def _bool(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if isinstance(raw, bool):
        return raw
    if is_template(raw) and keyword.kind is Kind.BOOL:
        return raw
    word = str(raw).lower() if isinstance(raw, str | int) else ""
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    return _wrong(keyword, raw, place, source)


def _number(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if is_template(raw):
        return raw
    whole = keyword.kind is Kind.INT
    number: int | float | None = None
    if isinstance(raw, str):
        number = _parsed(raw, whole)
    elif isinstance(raw, int if whole else int | float) and not isinstance(raw, bool):
        number = raw
    if number is None or not math.isfinite(number):
        return _wrong(keyword, raw, place, source)
    if number < 0:
        source.add(f"`{keyword.name}` is 0 or more, not `{raw}`", place)
        return None
    return number


def _parsed(text: str, whole: bool) -> int | float | None:
    try:
        return int(text) if whole else float(text.rstrip("%"))
    except ValueError:
        return None


def _text(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if isinstance(raw, str | int | float):
        choices = keywords.CHOICES.get(keyword.name)
        if choices is None or is_template(raw):
            return str(raw)
        word = str(raw).removeprefix("ansible.builtin.")
        if word not in choices:
            hint = did_you_mean(word, choices)
            source.add(f"`{keyword.name}` is {' or '.join(choices)}, not `{raw}`", place, hint)
        return word
    return _wrong(keyword, raw, place, source)


def _texts(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    several = raw if isinstance(raw, list) else [raw]
    plain = all(isinstance(one, str | int | float) for one in several)
    choices = keyword.name == "vars_files" and all(isinstance(one, str | list) for one in several)
    if plain or choices:
        return tuple(one if isinstance(one, list) else str(one) for one in several)
    return _wrong(keyword, raw, place, source)


def _any(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    del keyword, place, source
    return raw


def _map(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    return raw if isinstance(raw, dict) else _wrong(keyword, raw, place, source)


def _args(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    return raw if is_template(raw) else _map(keyword, raw, place, source)


def _vars(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if isinstance(raw, dict):
        check_names(raw, getattr(raw, "key_places", {}), source)
    return _map(keyword, raw, place, source)


def _environment(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    several = raw if isinstance(raw, list) else [raw]
    if all(isinstance(one, dict) or is_template(one) for one in several):
        return tuple(several)
    return _wrong(keyword, raw, place, source)


def _loop(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if isinstance(raw, list) or is_template(raw):
        return raw
    hint = 'for a mapping: `loop: "{{ NAME | dict2items }}"`' if isinstance(raw, dict) else None
    if isinstance(raw, str):
        hint = f'for a variable: `loop: "{{{{ {raw} }}}}"`'
    source.add(f"`{keyword.name}` takes a list, or a template that gives one", place, hint)
    return None


def _hosts(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    several = raw if isinstance(raw, list) else [raw]
    if not all(isinstance(one, str) and one.strip() for one in several):
        return _wrong(keyword, raw, place, source)
    if not several:
        source.add("`hosts` names no host", place)
        return None
    return raw


def _serial(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    for one in raw if isinstance(raw, list) else [raw]:
        number = str(one).removesuffix("%") if isinstance(one, str | int | float) else ""
        if is_template(one) or (not isinstance(one, bool) and _is_number(number)):
            continue
        return _wrong(keyword, one, place, source)
    return raw


def _is_number(text: str) -> bool:
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False


def _conditions(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    del keyword
    return check_conditions(raw, place, source)


def _tags(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    several = raw if isinstance(raw, list) else [raw]
    found = []
    for one in several:
        if not isinstance(one, str | int | float) or isinstance(one, bool):
            return _wrong(keyword, one, place, source)
        if is_template(one):
            source.add("tags are written out: they choose tasks before variables exist", place)
            return None
        found += [word.strip() for word in str(one).split(",")]
    return tuple(tag for tag in found if tag)


def _name(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if not isinstance(raw, str):
        return _wrong(keyword, raw, place, source)
    check_names([raw], {raw: place} if place else {}, source)
    return raw


def _word(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if isinstance(raw, str) and raw.strip() and not is_template(raw):
        return raw.strip()
    return _wrong(keyword, raw, place, source)


def _order(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if raw in keywords.ORDERS:
        return raw
    hint = did_you_mean(str(raw), keywords.ORDERS)
    source.add(f"`{keyword.name}` is one of {', '.join(keywords.ORDERS)}", place, hint)
    return None


def _nodes(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    return raw if isinstance(raw, list) else _wrong(keyword, raw, place, source)


def _known(raw: Any, known: Mapping[str, str], what: str, source: Source) -> None:
    for key in raw:
        if key not in known:
            hint = keywords.refusal(str(key)) or did_you_mean(str(key), known)
            source.add(f"`{what}` has no `{key}`", raw.key_places.get(key), hint)


def _loop_control(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if not isinstance(raw, dict):
        return _wrong(keyword, raw, place, source)
    _known(raw, keywords.LOOP_CONTROL, "loop_control", source)
    for key in ("loop_var", "index_var"):
        if raw.get(key) is not None and not is_template(raw[key]):
            check_names([raw[key]], {raw[key]: place_of(raw, (key,)) or place}, source)  # type: ignore[dict-item]
    for key in ("extended", "extended_allitems"):
        if is_template(raw.get(key)):
            source.add(f"`{key}` is true or false, written out", place_of(raw, (key,)))
    return LoopControl(
        loop_var=raw.get("loop_var") or "item",
        index_var=raw.get("index_var"),
        label=raw.get("label"),
        pause=raw.get("pause", 0),
        extended=str(raw.get("extended", False)).lower() in _TRUE,
        extended_allitems=str(raw.get("extended_allitems", True)).lower() in _TRUE,
    )


def _retry(keyword: Keyword, raw: Any, place: Place | None, source: Source) -> Any:
    if not isinstance(raw, dict):
        return _wrong(keyword, raw, place, source)
    _known(raw, keywords.RETRY, "retry", source)
    for key, value in raw.items():
        where = place_of(raw, (key,))
        if is_template(value) or key not in keywords.RETRY:
            continue
        if key == "backoff":
            if value not in {"fixed", "exponential"}:
                source.add("`backoff` is `fixed` or `exponential`", where)
        elif not _is_number(str(value)) or isinstance(value, bool):
            source.add(f"`{key}` takes a number, not `{value}`", where)
        elif key == "attempts" and (float(value) < 1 or float(value) % 1):
            source.add("`attempts` counts the first try: a whole number, 1 or more", where)
    return Retry(values=raw, place=place)


_Converter = Callable[[Keyword, Any, Place | None, Source], Any]
_CONVERTERS: Mapping[Kind, _Converter] = {
    Kind.BOOL: _bool,
    Kind.LITERAL_BOOL: _bool,
    Kind.INT: _number,
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
    Kind.TEXTS: _texts,
    Kind.ANY: _any,
    Kind.MAP: _map,
    Kind.ARGS: _args,
    Kind.VARS: _vars,
    Kind.ENVIRONMENT: _environment,
    Kind.LOOP: _loop,
    Kind.HOSTS: _hosts,
    Kind.SERIAL: _serial,
    Kind.CONDITIONS: _conditions,
    Kind.TAGS: _tags,
    Kind.NAME: _name,
    Kind.WORD: _word,
    Kind.ORDER: _order,
    Kind.NODES: _nodes,
    Kind.LOOP_CONTROL: _loop_control,
    Kind.RETRY: _retry,
}
