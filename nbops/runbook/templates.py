"""Templates: compiled, run, their files found, their errors told in the user's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from jinja2 import BaseLoader, Environment, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.environment import Template
from jinja2.exceptions import UndefinedError

from nbops.base.errors import ActionFailed, NbopsError, Place
from nbops.base.yamlpos import did_you_mean
from nbops.runbook.lookups import find_file
from nbops.runbook.sandbox import Scope
from nbops.runbook.values import concat, plain, with_newlines

_NAME = re.compile(r"^'(\w+)' is undefined")
HEADER = "#jinja2:"
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


class Loader(BaseLoader):
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


def compiled(
    make: Callable[[], Template], place: Place | None, name: str | None = None
) -> Template:
    """What `make` compiles. Raises ActionFailed for a fault of syntax."""
    try:
        return make()
    except TemplateSyntaxError as error:
        where = Place(name, error.lineno) if name else place
        raise ActionFailed(f"Syntax error in template: {error.message}", place=where) from None
    except (RecursionError, ValueError) as error:  # nesting, or a number, without end
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ActionFailed(f"Syntax error in template: {what}", place=place) from None


def pieces(template: Template, scope: Scope) -> list[Any]:
    """The values that a template is made of, within a scope."""
    context = template.new_context(scope)  # type: ignore[arg-type]
    return list(template.root_render_func(context))


def run(template: Template, scope: Scope, place: Place | None, source: str = "") -> Any:
    """A template as plain data. Raises ActionFailed, and jinja2's UndefinedError."""
    try:
        return with_newlines(plain(concat(pieces(template, scope))), source)
    except (NbopsError, UndefinedError):
        raise
    except Exception as error:
        raise fault(error, place, None) from error


def fault(
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


def line_of(error: BaseException, template: Template, name: str) -> Place:
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


def header_options(line: str, place: Place) -> dict[str, Any]:
    """The options of a template file's first line, `#jinja2: key: value, …`."""
    options: dict[str, Any] = {}
    for pair in line.removeprefix(HEADER).split(","):
        key, colon, value = (part.strip() for part in pair.partition(":"))
        if not colon or key not in _HEADER_OPTIONS:
            hint = did_you_mean(key, _HEADER_OPTIONS)
            raise ActionFailed(f"`{pair}` is no option of Jinja2", place=place, hint=hint)
        text = value.strip("'\"")
        options[key] = {"true": True, "false": False}.get(text.lower(), text)
    return options
