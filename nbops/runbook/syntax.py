"""Checks of templates and conditions before anything runs: syntax, filters, tests, lookups."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.parser import Parser

from nbops.base.errors import Place, Problem
from nbops.base.yamlpos import did_you_mean, place_of
from nbops.runbook import lookups
from nbops.runbook.filters import FILTERS, TESTS
from nbops.runbook.foreign import FILTERS as FOREIGN_FILTERS
from nbops.runbook.foreign import TESTS as FOREIGN_TESTS
from nbops.runbook.sandbox import RunbookEnvironment, make_environment

_PREFIX = "ansible.builtin."
_HEADER = "#jinja2:"
_SHELL_SAFE = frozenset({"quote", "int", "float", "length", "count", "bool", "hash"})


# Filters and tests whose first argument is a regular expression.
_PATTERNS = frozenset({"regex_findall", "regex_replace", "regex_search"})
_PATTERN_TESTS = frozenset({"match", "search", "regex"})
# Filters that take the name of another filter, or of a test, as their first argument (or,
# for those of attributes, as the second one).
_NAMING = {"map": 0, "select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}
_PlaceOf = Callable[[nodes.Node], Place | None]


@cache
def _environment(*, raw_strings: bool = True) -> RunbookEnvironment:
    environment = make_environment(FILTERS, TESTS, lookups.GLOBALS)
    environment.raw_strings = raw_strings
    return environment


def template_problems(text: str, place: Place | None) -> list[Problem]:
    """What is wrong with a text that holds templates."""
    try:
        return list(_unknown(_environment().parse(text), lambda _: place))
    except TemplateSyntaxError as error:
        return [Problem(f"Syntax error in template: {error.message}", place)]
    except (RecursionError, ValueError) as error:
        return [_unreadable(error, place)]


def file_problems(path: Path) -> list[Problem]:
    """What is wrong with a template file, each with its line.

    One that names other marks than `{{`, `{%` and `{#` in its first line is not looked into.
    """
    start = Place(str(path), 1)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return [Problem("a template is UTF-8 text, this is not", start)]
    except OSError as error:
        return [Problem(f"{path}: {error.strerror or error}")]
    if text.startswith(_HEADER):
        return []
    try:
        tree = _environment(raw_strings=False).parse(text)
        return list(_unknown(tree, lambda node: Place(str(path), node.lineno)))
    except TemplateSyntaxError as error:
        place = Place(str(path), error.lineno)
        return [Problem(f"Syntax error in template: {error.message}", place)]
    except (RecursionError, ValueError) as error:
        return [_unreadable(error, start)]


def expression_problems(text: str, place: Place | None) -> list[Problem]:
    """What is wrong with an expression without braces (a condition)."""
    try:
        tree = parse_expression(text)
        return [*_unknown(tree, lambda _: place), *_nested(tree.find_all(nodes.Const), place)]
    except TemplateSyntaxError as error:
        hint = None
        if "{{" in text:
            hint = "a condition is an expression already: write its variables without `{{ }}`"
        return [Problem(f"Syntax error in expression: {error.message}", place, hint)]
    except (RecursionError, ValueError) as error:
        return [_unreadable(error, place)]


def _unreadable(error: Exception, place: Place | None) -> Problem:
    """For what the parser itself cannot take: nesting without end, numbers without end."""
    what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return Problem(f"Syntax error in template: {what}", place)


def parse_expression(text: str) -> nodes.Template:
    """An expression as a tree. Raises jinja2's TemplateSyntaxError."""
    parser = Parser(_environment(), text, state="variable")
    expression = parser.parse_expression()
    if not parser.stream.eos:
        parser.fail("chunk after expression")
    return nodes.Template([nodes.Output([expression])], lineno=1)


def unquoted_in(text: str) -> bool:
    """Whether a template puts a value into its text that is neither quoted for a shell, nor a
    number, nor written out in the template itself."""
    try:
        tree = _environment().parse(text)
    except TemplateSyntaxError:
        return False
    return any(
        not _harmless(piece) for output in tree.find_all(nodes.Output) for piece in output.nodes
    )


def _harmless(node: nodes.Node | None) -> bool:
    if node is None or isinstance(node, nodes.TemplateData | nodes.Const):
        return True
    if isinstance(node, nodes.CondExpr):
        return _harmless(node.expr1) and _harmless(node.expr2)
    if not isinstance(node, nodes.Filter):
        return False
    name = node.name.removeprefix(_PREFIX)
    if name == "map" and node.args and isinstance(node.args[0], nodes.Const):
        name = str(node.args[0].value)
    return name in _SHELL_SAFE or (name in {"join", "list"} and _harmless(node.node))


def texts_in(value: Any, place: Place | None) -> Iterator[tuple[str, Place | None]]:
    """Every text in a value, at any depth, with its place."""
    if isinstance(value, str):
        yield value, place
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts_in(item, place_of(value, (key,)) or place)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from texts_in(item, place_of(value, (number,)) or place)


def _unknown(tree: nodes.Template, place_of_node: _PlaceOf) -> Iterator[Problem]:
    """Names in a template that are those of no filter, test, lookup or function."""
    for node in tree.find_all(nodes.Filter):
        place = place_of_node(node)
        yield from _named("filter", node.name, place)
        yield from _named_within(node.name, node.args, place)
        if node.name in _PATTERNS:
            yield from _pattern(node.args, place)
    for test in tree.find_all(nodes.Test):
        place = place_of_node(test)
        yield from _named("test", test.name, place)
        if test.name in _PATTERN_TESTS:
            yield from _pattern(test.args, place)
    own = _own_names(tree)
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name):
            yield from _call(call, call.node.name, own, place_of_node(call))


def _named(kind: str, name: str, place: Place | None) -> Iterator[Problem]:
    environment = _environment()
    known, foreign = (
        (environment.filters, FOREIGN_FILTERS)
        if kind == "filter"
        else (environment.tests, FOREIGN_TESTS)
    )
    if name not in known:
        short = name.removeprefix(_PREFIX)
        hint = foreign.get(short) or did_you_mean(short, known)
        yield Problem(f"there is no {kind} `{name}`", place, hint)


def _named_within(name: str, args: Sequence[nodes.Node], place: Place | None) -> Iterator[Problem]:
    """`x | map('NAME')`, `x | select('NAME')`, `x | selectattr('key', 'NAME')`."""
    short = name.removeprefix(_PREFIX)
    number = _NAMING.get(short)
    if number is None or number >= len(args):
        return
    named = args[number]
    if isinstance(named, nodes.Const) and isinstance(named.value, str):
        yield from _named("filter" if short == "map" else "test", named.value, place)


def _pattern(args: Sequence[nodes.Node], place: Place | None) -> Iterator[Problem]:
    first = args[0] if args else None
    if isinstance(first, nodes.Const) and isinstance(first.value, str):
        try:
            re.compile(first.value)
        except re.error as error:
            yield Problem(f"`{first.value}` is no regular expression: {error}", place)


def _own_names(tree: nodes.Template) -> set[str]:
    """What a template defines itself, and so may call."""
    stored = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    macros = {node.name for node in tree.find_all(nodes.Macro)}
    imported = {
        name if isinstance(name, str) else name[1]
        for node in tree.find_all(nodes.FromImport)
        for name in node.names
    }
    return {*stored, *macros, *imported, "caller", "loop", "self", "super"}


def _call(call: nodes.Call, name: str, own: set[str], place: Place | None) -> Iterator[Problem]:
    if name in {"lookup", "query", "q"}:
        if call.args and isinstance(call.args[0], nodes.Const):
            plugin = str(call.args[0].value)
            why = lookups.refusal(plugin)
            if why:
                yield Problem(why, place, did_you_mean(plugin, lookups.LOOKUPS))
            yield from _nested(call.args[1:], place)
    elif name not in own and name not in _environment().globals:
        environment = _environment()
        hint = did_you_mean(name, environment.globals)
        if name in environment.filters:
            hint = f"it is a filter: `value | {name}`"
        elif name in environment.tests:
            hint = f"it is a test: `value is {name}`"
        yield Problem(f"there is no function `{name}`", place, hint)


def _nested(found: Iterable[nodes.Node], place: Place | None) -> Iterator[Problem]:
    for node in found:
        if isinstance(node, nodes.Const) and "{{" in str(node.value):
            hint = "write the variable itself: `'a' ~ name`, `x == name`"
            yield Problem(f"a template within an expression: `{node.value}`", place, hint)
