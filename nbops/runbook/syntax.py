"""Checks of templates and conditions before anything runs: syntax, filters, tests, lookups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
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
_SHELL_SAFE = frozenset({"quote", "int", "float", "length", "count", "bool", "hash"})


@cache
def _environment() -> RunbookEnvironment:
    environment = make_environment(FILTERS, TESTS, lookups.GLOBALS)
    environment.raw_strings = True
    return environment


def template_problems(text: str, place: Place | None) -> list[Problem]:
    """What is wrong with a text that holds templates."""
    try:
        tree = _environment().parse(text)
    except TemplateSyntaxError as error:
        return [Problem(f"Syntax error in template: {error.message}", place)]
    return list(_unknown(tree, place))


def expression_problems(text: str, place: Place | None) -> list[Problem]:
    """What is wrong with an expression without braces (a condition)."""
    try:
        tree = parse_expression(text)
    except TemplateSyntaxError as error:
        hint = None
        if "{{" in text:
            hint = "a condition is an expression already: write its variables without `{{ }}`"
        return [Problem(f"Syntax error in expression: {error.message}", place, hint)]
    return [*_unknown(tree, place), *_nested(tree.find_all(nodes.Const), place)]


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


def _unknown(tree: nodes.Template, place: Place | None) -> Iterator[Problem]:
    environment = _environment()
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        kind, known, foreign = (
            ("filter", environment.filters, FOREIGN_FILTERS)
            if isinstance(node, nodes.Filter)
            else ("test", environment.tests, FOREIGN_TESTS)
        )
        if node.name not in known:
            short = node.name.removeprefix(_PREFIX)
            hint = foreign.get(short) or did_you_mean(short, known)
            yield Problem(f"there is no {kind} `{node.name}`", place, hint)
    for call in tree.find_all(nodes.Call):
        if (
            isinstance(call.node, nodes.Name)
            and call.node.name in {"lookup", "query", "q"}
            and call.args
            and isinstance(call.args[0], nodes.Const)
        ):
            why = lookups.refusal(str(call.args[0].value))
            if why:
                yield Problem(why, place)
            yield from _nested(call.args[1:], place)


def _nested(found: Iterable[nodes.Node], place: Place | None) -> Iterator[Problem]:
    for node in found:
        if isinstance(node, nodes.Const) and "{{" in str(node.value):
            hint = "write the variable itself: `'a' ~ name`, `x == name`"
            yield Problem(f"a template within an expression: `{node.value}`", place, hint)
