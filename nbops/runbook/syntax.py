"""Checks of templates and conditions before anything runs: syntax, filters, tests, lookups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from jinja2 import TemplateSyntaxError, meta, nodes
from jinja2.parser import Parser

from nbops.base.errors import Place, Problem
from nbops.base.yamlpos import did_you_mean, place_of
from nbops.runbook import lookups
from nbops.runbook.filters import FILTERS, TESTS
from nbops.runbook.sandbox import RunbookEnvironment, make_environment

_PREFIX = "ansible.builtin."


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


def variables_in(text: str, *, expression: bool = False) -> set[str]:
    """The variables that a template (or an expression) asks for; none when it is not valid."""
    try:
        tree = parse_expression(text) if expression else _environment().parse(text)
    except TemplateSyntaxError:
        return set()
    return set(meta.find_undeclared_variables(tree))


def filters_in(text: str) -> list[list[str]]:
    """For each `{{ }}` of a template the filters that its value goes through, the last first."""
    try:
        tree = _environment().parse(text)
    except TemplateSyntaxError:
        return []
    chains: list[list[str]] = []
    for output in tree.find_all(nodes.Output):
        pieces = (node for node in output.nodes if not isinstance(node, nodes.TemplateData))
        chains += [list(_filters_of(piece)) for piece in pieces]
    return chains


def _filters_of(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Filter):
        yield node.name
        if node.node is not None:
            yield from _filters_of(node.node)


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
        kind, known = (
            ("filter", environment.filters)
            if isinstance(node, nodes.Filter)
            else ("test", environment.tests)
        )
        if node.name not in known:
            short = node.name.removeprefix(_PREFIX)
            hint = did_you_mean(short, known)
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
