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
from types import TracebackType
from typing import Any

from jinja2 import BaseLoader, Environment, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.environment import Template
from jinja2.exceptions import UndefinedError
from jinja2.utils import missing

from nbops.base.errors import ActionFailed, NbopsError, Place
from nbops.base.secret import Secret
from nbops.base.yamlpos import did_you_mean, place_of
from nbops.runbook.filters import FILTERS, TESTS
from nbops.runbook.lookups import GLOBALS, find_file
from nbops.runbook.sandbox import RunbookEnvironment, Scope, make_environment
from nbops.runbook.values import OMIT, Missing, as_text, concat, plain, type_name, view

_MARKS = re.compile(r"\{[{%#]")
_NAME = re.compile(r"^'(\w+)' is undefined")
_HEADER = "#jinja2:"
_HEADER_OPTIONS = (
    *(
        f"{kind}_{end}_string"
        for kind in ("block", "variable", "comment")
        for end in ("start", "end")
    ),
    "line_statement_prefix",
    "line_comment_prefix",
    "trim_blocks",
    "lstrip_blocks",
    "newline_sequence",
    "keep_trailing_newline",
)
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

    def __getitem__(self, name: str) -> Any:
        value = self.read(name)
        if value is missing:
            raise KeyError(name)
        if value is self:
            return self
        try:
            return plain(value)
        except UndefinedError as error:
            raise _fault(error, None, self) from None

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
        loader = _Loader(self._folders)
        self._inline = inline.overlay(loader=loader)
        assert isinstance(self._inline, RunbookEnvironment)  # noqa: S101
        self._inline.raw_strings = True
        self._files = files.overlay(loader=loader)
        self._templates: dict[str, Template] = {}
        self._conditions: dict[str, Template] = {}

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

        Raises ActionFailed when there is none, RefusedError when it lies outside.
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
                raise _fault(error, place, variables) from None
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
            template = _compile(lambda: self._inline.from_string(text), place)
            self._templates[text] = template
        return _run(template, self._scope(variables), place)

    def expression(
        self, text: str, variables: Mapping[str, Any], place: Place | None = None
    ) -> Any:
        """An expression without braces (`debug: var=…`) as plain data."""
        try:
            return _run(self._expression(text, place), self._scope(variables), place)
        except UndefinedError as error:
            raise _fault(error, place, variables) from None

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
        return self.text_in(template, self._scope(variables), name, options)

    def text_in(
        self,
        template: str,
        scope: Scope,
        name: str,
        options: Mapping[str, Any] | None = None,
    ) -> str | Secret:
        """As `text`, within a scope that an expression has already."""
        place = Place(name, 1)
        given = dict(options or {})
        if template.startswith(_HEADER):
            line, _, template = template.partition("\n")
            given |= _header_options(line, place)
        environment = self._files.overlay(**given) if given else self._files
        compiled = _compile(lambda: environment.from_string(template), place, name)
        try:
            return as_text(_pieces(compiled, scope))
        except NbopsError:
            raise
        except Exception as error:
            raise _fault(error, _line_of(error, compiled, name), None) from error

    def _expression(self, text: str, place: Place | None) -> Template:
        found = self._conditions.get(text)
        if found is None:
            environment = self._files
            assert isinstance(environment, RunbookEnvironment)  # noqa: S101
            found = _compile(lambda: environment.expression(text), place)
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


class _Loader(BaseLoader):
    """Finds what a template includes, within the folders of the runbook."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def get_source(
        self,
        environment: Environment,  # noqa: ARG002
        template: str,
    ) -> tuple[str, str, None]:
        """The text and path of a template."""
        path = find_file(template, self._folders, "templates")
        try:
            return path.read_text(encoding="utf-8"), str(path), None
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateNotFound(template, f"{path}: {error}") from None


def _compile(make: Any, place: Place | None, name: str | None = None) -> Template:
    try:
        template: Template = make()
    except TemplateSyntaxError as error:
        where = Place(name, error.lineno) if name else place
        raise ActionFailed(f"Syntax error in template: {error.message}", place=where) from None
    return template


def _pieces(template: Template, scope: Scope) -> list[Any]:
    context = template.new_context(scope)  # type: ignore[arg-type]
    return list(template.root_render_func(context))


def _run(template: Template, scope: Scope, place: Place | None) -> Any:
    try:
        return plain(concat(_pieces(template, scope)))
    except (NbopsError, UndefinedError):
        raise
    except Exception as error:
        raise _fault(error, place, None) from error


def _fault(
    error: Exception, place: Place | None, variables: Mapping[str, Any] | None
) -> ActionFailed:
    """An error of Jinja2 or of a filter in the user's words."""
    if isinstance(error, UndefinedError):
        text = error.message or "a value is undefined"
        name = _NAME.match(text)
        hint = did_you_mean(name[1], variables) if name and variables else None
        return ActionFailed(text, place=place, hint=hint)
    if isinstance(error, RecursionError):
        return ActionFailed("the template is nested too deeply, or calls itself", place=place)
    if isinstance(error, TemplateError):
        return ActionFailed(str(error.message), place=place)
    return ActionFailed(f"Error rendering template: {error}", place=place)


def _line_of(error: BaseException, template: Template, name: str) -> Place:
    """The line of a template file that an error comes from."""
    line = 1
    step: TracebackType | None = error.__traceback__
    while step is not None:
        found = step.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(found, Template):
            line = found.get_corresponding_lineno(step.tb_lineno)
            name = name if found is template else str(found.filename or name)
        step = step.tb_next
    return Place(name, line)


def _header_options(line: str, place: Place) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for pair in line.removeprefix(_HEADER).split(","):
        key, colon, value = (part.strip() for part in pair.partition(":"))
        if not colon or key not in _HEADER_OPTIONS:
            hint = did_you_mean(key, _HEADER_OPTIONS)
            raise ActionFailed(f"`{pair}` is no option of Jinja2", place=place, hint=hint)
        text = value.strip("'\"")
        options[key] = {"true": True, "false": False}.get(text.lower(), text)
    return options
