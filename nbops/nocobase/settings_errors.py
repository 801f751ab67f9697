"""What pydantic found wrong, in the user's words: where it stands, and what to write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from nbops.base.errors import Problem
from nbops.base.yamlpos import YamlMap, did_you_mean, place_of

_TYPES = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
_NEEDED = {
    "cluster": "a name for the cluster, such as `cluster: main`",
    "version": "the version to install, such as `version: 2.2.15`",
    "database": "at least where its password comes from: `database: {password: {file: PATH}}`",
    "secrets": "`secrets: {app_key: {file: PATH}, aes_key: {file: PATH}}`; `nbops init` makes them",
    "app_key": "write {file: PATH}; `nbops init` makes the file for a new cluster",
    "aes_key": "write {file: PATH}; `openssl rand -hex 32` makes one for a new cluster",
    "password": "write where it comes from: {file: PATH}, {env: NAME} or {command: …}",
}


def problems_of(error: ValidationError, data: YamlMap, model: type[BaseModel]) -> list[Problem]:
    """One problem for each error, at its place in `data`; those of one value only once.

    `model` is what was validated, for the names that would have been right.
    """
    found: dict[tuple[Any, ...], Problem] = {}
    for one in error.errors(include_url=False, include_input=True):
        loc = _known_part(one["loc"], data)
        if one["type"] in {"missing", "extra_forbidden"}:
            loc = tuple(one["loc"])
        if loc not in found:
            found[loc] = _problem(dict(one), loc, data, model)
    return list(found.values())


def _problem(
    one: Mapping[str, Any], loc: tuple[Any, ...], data: YamlMap, model: type[BaseModel]
) -> Problem:
    name = ".".join(str(part) for part in loc) or "nocobase"
    kind = one["type"]
    if kind == "extra_forbidden":
        where = ".".join(["nocobase", *(str(part) for part in loc[:-1])])
        return Problem(
            f"unknown key `{loc[-1]}` under `{where}:`",
            place_of(data, loc, key=True),
            _known_keys(str(loc[-1]), loc[:-1], model),
        )
    if kind == "missing":
        key = str(loc[-1])
        return Problem(f"`{name}` is missing", place_of(data, loc[:-1], key=True), _NEEDED.get(key))
    message, hint = _words(kind, one)
    return Problem(f"`{name}`: {message}", place_of(data, loc), hint or _meaning(loc, model, kind))


def _words(kind: str, one: Mapping[str, Any]) -> tuple[str, str | None]:
    context = one.get("ctx", {})
    value = one.get("input")
    if kind == "nbops":
        return str(context["message"]), context.get("hint") or None
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", str(context["expected"]))
        return f"{value!r} is not one of {', '.join(options)}", did_you_mean(str(value), options)
    if kind in {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}:
        sign = {"greater_than_equal": "at least", "less_than_equal": "at most"}.get(kind, "")
        limit = context.get("ge", context.get("le", context.get("gt", context.get("lt"))))
        sign = sign or ("more than" if kind == "greater_than" else "less than")
        return f"{value!r} must be {sign} {limit:g}", None
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return "must be text, not a number", f'put quotes around it: "{value}"'
    words = _TYPES.get(kind)
    if words:
        return words, None
    return str(one["msg"]), None


def _meaning(loc: tuple[Any, ...], model: type[BaseModel], kind: str) -> str | None:
    """What the key stands for, with its default: the hint where there is no better one."""
    inner: type[BaseModel] | None = model
    field = None
    for part in loc:
        field = inner.model_fields.get(str(part)) if inner is not None else None
        if field is None:
            return None
        inner = _model_in(field.annotation)
    if field is None or not field.description:
        return None
    default = field.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    usual = f" (default: {default})" if plain and "default" not in field.description else ""
    if inner is not None and _TYPES.get(kind) == "must be a mapping":
        return f"its keys are {', '.join(inner.model_fields)}"
    return f"`{loc[-1]}`: {field.description}{usual}"


def _known_keys(word: str, loc: tuple[Any, ...], model: type[BaseModel]) -> str | None:
    names = _fields_at(model, loc)
    if not names:
        return None
    return did_you_mean(word, names) or f"the keys are {', '.join(names)}"


def _fields_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The keys of the sub-model to which `loc` leads; none when it leads elsewhere."""
    for part in loc:
        field = model.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one))), None)


def _known_part(loc: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    """The keys of `loc` as far as they lead in `data`: pydantic adds parts of its own."""
    known: list[Any] = []
    for part in loc:
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if not inside:
            break
        known.append(part)
        data = data[part]
    return tuple(known)
