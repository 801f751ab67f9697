"""Variables and expressions: Jinja2 as in ansible-core 2.19, sandboxed and strict.

Only text that the user wrote is ever rendered. What came from a host is data at any depth,
and so is every result of an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from jinja2.environment import Template
from jinja2.exceptions import UndefinedError
from jinja2.utils import missing

from nbops.base.errors import ActionFailed, NbopsError, Place
from nbops.base.secret import Secret
from nbops.base.yamlpos import place_of
from nbops.runbook.filters import FILTERS, TESTS
from nbops.runbook.lookups import GLOBALS, find_file
from nbops.runbook.sandbox import RunbookEnvironment, Scope, make_environment
from nbops.runbook.templates import (
    HEADER,
    Loader,
    compiled,
    fault,
    header_options,
    line_of,
    pieces,
    run,
)
from nbops.runbook.values import (
    OMIT,
    Missing,
    as_text,
    concat,
    plain,
    type_name,
    view,
    with_newlines,
)

_MARKS = re.compile(r"\{[{%#]")
_active: ContextVar[tuple[tuple[int, str], ...]] = ContextVar("_active", default=())

__all__ = ["OMIT", "Layer", "Templar", "Variables", "is_template"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of variables.

    `template` tells whether its texts are rendered: true for what the user wrote (inventory,
    runbook, command line), false for what came from hosts (facts, registered, set_fact).
    """

    name: str
    values: Mapping[str, Any]
    template: bool


class Variables(Mapping[str, Any]):
    """The variables of one host, or of one task on it; later layers win.

    Nothing is copied; a value is rendered when it is first read, and kept. `variables[name]`
    is plain data, rendered throughout: raises KeyError for an unknown name, ActionFailed for
    a value that cannot be rendered. Expressions use `read`, which renders no more than they
    ask for.
    """

    __slots__ = ("_cache", "_layers", "_templar")

    def __init__(self, layers: Sequence[Layer], templar: Templar) -> None:
        self._layers = tuple(layers)
        self._templar = templar
        self._cache: dict[str, Any] = {}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, the weakest first."""
        return self._layers

    def with_layer(self, *layers: Layer, beneath: str | None = None) -> Variables:
        """The same with further layers on top, or under the layer named `beneath`."""
        at = len(self._layers)
        for number, layer in enumerate(self._layers):
            if layer.name == beneath:
                at = number
                break
        return Variables((*self._layers[:at], *layers, *self._layers[at:]), self._templar)

    def with_templar(self, templar: Templar) -> Variables:
        """The same for a task of another folder."""
        return Variables(self._layers, templar)

    def read(self, name: str) -> Any:
        """A value for an expression: containers are views that render what is asked for.

        Gives jinja2's `missing` for an unknown name.
        """
        if name in self._cache:
            return self._cache[name]
        for layer in reversed(self._layers):
            if name in layer.values:
                place = place_of(layer.values, (name,))
                render = self._leaf if layer.template else None
                value = view(layer.values[name], render, name, place)
                self._cache[name] = value
                return value
        return self if name == "vars" else missing

    def raw(self, name: str) -> Any:
        """A value as it was written. Raises KeyError."""
        for layer in reversed(self._layers):
            if name in layer.values:
                return layer.values[name]
        raise KeyError(name)

    def wrote(self, text: str) -> bool:
        """Whether this very object, not only a text like it, is one that the user wrote.

        Only such a text may be an expression (`when: "{{ wanted }}"`): what was made of others,
        or came from a host, is another object.
        """
        sources = (layer.values.values() for layer in self._layers if layer.template)
        return any(_holds(value, text) for values in sources for value in values)

    def __getitem__(self, name: str) -> Any:
        value = self.read(name)
        if value is missing:
            raise KeyError(name)
        if value is self:
            return self
        raw = self.raw(name)
        if isinstance(raw, Mapping) and not isinstance(raw, dict):
            return raw  # made when it is asked for, as `hostvars`: never unrolled
        try:
            return plain(value)
        except UndefinedError as error:
            raise fault(error, None, self) from None

    def __contains__(self, name: object) -> bool:
        return any(name in layer.values for layer in self._layers)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for layer in self._layers for name in layer.values))

    def __len__(self) -> int:
        return len(set().union(*(layer.values for layer in self._layers)))

    def __repr__(self) -> str:
        return f"Variables({', '.join(layer.name for layer in self._layers)})"

    def _leaf(self, text: str, path: str, place: Place | None) -> Any:
        """Render one text of a variable; undefined names in it make it undefined itself."""
        if not is_template(text):
            return text
        active = _active.get()
        step = (id(self), path)
        if step in active:
            names = [name for _, name in active[active.index(step) :]] + [path]
            chain = " → ".join(f"`{name}`" for name in names)
            raise ActionFailed(f"variables that need each other: {chain}", place=place)
        token = _active.set((*active, step))
        try:
            return self._templar.evaluate(text, self, place)
        except UndefinedError as error:
            where = f", {place}" if place else ""
            return Missing(f"{error.message} (in variable `{path}`{where})")
        finally:
            _active.reset(token)


def _holds(value: Any, text: str) -> bool:
    if isinstance(value, dict):
        return any(_holds(one, text) for one in value.values())
    if isinstance(value, list):
        return any(_holds(one, text) for one in value)
    return value is text


def is_template(value: Any) -> bool:
    """Whether `value` is a text that holds a template."""
    return isinstance(value, str) and "{" in value and _MARKS.search(value) is not None


class Templar:
    """Evaluates what a runbook says. Safe to use from several threads.

    `folders` are where lookups and includes of template files look, in order; nothing
    outside them is read. All methods raise ActionFailed with the place that they are given.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = tuple(folders)
        self._siblings: dict[tuple[Path, ...], Templar] = {self._folders: self}
        inline = make_environment(FILTERS, TESTS, GLOBALS)
        self._equip(inline, inline.overlay())

    def _equip(self, inline: Environment, files: Environment) -> None:
        loader = Loader(self._folders)
        self._inline = inline.overlay(loader=loader)
        assert isinstance(self._inline, RunbookEnvironment)  # noqa: S101
        self._inline.raw_strings = True
        self._files = files.overlay(loader=loader)
        self._templates: dict[str, Template] = {}
        self._conditions: dict[str, Template] = {}
        self._compiled: dict[tuple[Any, ...], Template] = {}

    def within(self, *folders: Path) -> Templar:
        """The same for a task whose file stands in `folders`, which are searched first."""
        searched = (*folders, *(one for one in self._folders if one not in folders))
        found = self._siblings.get(searched)
        if found is None:
            found = object.__new__(Templar)
            found._folders = searched
            found._siblings = self._siblings
            found._equip(self._inline, self._files)
            self._siblings[searched] = found
        return found

    def find(self, name: str, sub: str = "files") -> Path:
        """A file of the runbook's by name: in `sub` of one of the folders, or beside it.

        Raises ActionFailed when there is none, or when it lies outside.
        """
        return find_file(name, self._folders, sub)

    def render(self, value: Any, variables: Mapping[str, Any], place: Place | None = None) -> Any:
        """`value` with every text in it rendered, at any depth; keys stay as they are.

        A single `{{ expression }}` keeps its type. `omit` takes its item out of a list or
        mapping; a text that is nothing but `omit` gives `OMIT`.
        """
        if isinstance(value, str):
            if not is_template(value):
                return value
            try:
                return self.evaluate(value, variables, place)
            except UndefinedError as error:
                raise fault(error, place, variables) from None
        if isinstance(value, Mapping):
            pairs = (
                (key, self.render(item, variables, place_of(value, (key,)) or place))
                for key, item in value.items()
            )
            return {key: item for key, item in pairs if item is not OMIT}
        if isinstance(value, list | tuple):
            items = (
                self.render(item, variables, place_of(value, (number,)) or place)
                for number, item in enumerate(value)
            )
            return [item for item in items if item is not OMIT]
        return value

    def evaluate(self, text: str, variables: Mapping[str, Any], place: Place | None) -> Any:
        """One template as plain data. Raises jinja2's UndefinedError, which callers turn
        into an undefined value or an error."""
        template = self._templates.get(text)
        if template is None:
            template = compiled(lambda: self._inline.from_string(text), place)
            self._templates[text] = template
        return run(template, self._scope(variables), place, text)

    def expression(
        self, text: str, variables: Mapping[str, Any], place: Place | None = None
    ) -> Any:
        """An expression without braces (`debug: var=…`) as plain data."""
        try:
            return run(self._expression(text, place), self._scope(variables), place)
        except UndefinedError as error:
            raise fault(error, place, variables) from None

    def condition(
        self, expr: Any, variables: Mapping[str, Any], place: Place | None = None
    ) -> bool:
        """A condition as a truth value: true or false, or the text of an expression that
        gives one; any other result is an error, as in ansible-core 2.19."""
        if isinstance(expr, bool):
            return expr
        if expr is None or expr == "":
            raise ActionFailed("Empty conditional expressions are not allowed.", place=place)
        if not isinstance(expr, str):
            raise ActionFailed("Conditional expressions must be strings.", place=place)
        if in_braces(expr):
            value = self.render(expr.strip(), variables, place)
            written = isinstance(variables, Variables) and variables.wrote(value)
            if isinstance(value, str) and written:
                value = self.expression(value, variables, place)
        else:
            value = self.expression(expr, variables, place)
        if isinstance(value, bool):
            return value
        raise ActionFailed(
            f"Conditional result ({bool(value)}) was derived from value of type "
            f"'{type_name(value)}'. Conditionals must have a boolean result.",
            place=place,
            hint="compare it (`x == 1`, `x | length > 0`, `x is truthy`) or use `| bool`",
        )

    def text(
        self,
        template: str,
        variables: Mapping[str, Any],
        name: str,
        options: Mapping[str, Any] | None = None,
    ) -> str | Secret:
        """The text of a template file, with Ansible's settings; `name` is for errors.

        `options` are those of the `template` action that change Jinja2 (`trim_blocks`,
        `lstrip_blocks`, `newline_sequence`, `block_start_string`…); a first line that begins
        with `#jinja2:` sets them too. A Secret when a secret went into the text.
        """
        return as_text([self.file_in(template, self._scope(variables), name, options)])

    def file_in(
        self,
        template: str,
        scope: Scope,
        name: str,
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """A template file within a scope that an expression has already; as in any template
        a single expression keeps its type."""
        ready = self._file(template, name, tuple(sorted((options or {}).items())))
        try:
            return with_newlines(plain(concat(pieces(ready, scope))), template)
        except NbopsError:
            raise
        except Exception as error:
            raise fault(error, line_of(error, ready, name), None) from error

    def _file(self, template: str, name: str, options: tuple[tuple[str, Any], ...]) -> Template:
        key = (template, name, options)
        found = self._compiled.get(key)
        if found is None:
            place = Place(name, 1)
            given = dict(options)
            if template.startswith(HEADER):
                line, _, template = template.partition("\n")
                given |= header_options(line, place)
            environment = self._files.overlay(**given) if given else self._files
            found = compiled(lambda: environment.from_string(template), place, name)
            self._compiled[key] = found
        return found

    def _expression(self, text: str, place: Place | None) -> Template:
        found = self._conditions.get(text)
        if found is None:
            environment = self._files
            assert isinstance(environment, RunbookEnvironment)  # noqa: S101
            found = compiled(lambda: environment.expression(text), place)
            self._conditions[text] = found
        return found

    def _scope(self, variables: Mapping[str, Any]) -> Scope:
        if not isinstance(variables, Variables):
            variables = Variables((Layer("given", variables, False),), self)
        return Scope(variables.read, self)


def in_braces(condition: str) -> bool:
    """Whether a condition was written as one template: allowed, though not needed."""
    text = condition.strip()
    return text.startswith(("{{", "{%")) and text.endswith(("}}", "%}"))
