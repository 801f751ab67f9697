"""The arguments of an action in plain words: for the reference and for `nbops actions`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbops.runbook.arguments import argument_names
from nbops.runbook.spec import ActionSpec

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
}


@dataclass(frozen=True)
class Argument:
    """One argument: its name and other names, what it takes, its default as YAML, its use."""

    name: str
    aliases: tuple[str, ...]
    takes: str
    required: bool
    default: str
    doc: str


def arguments(spec: ActionSpec) -> list[Argument]:
    """The arguments of an action, the required ones first."""
    schema = spec.args.model_json_schema(by_alias=False)
    definitions = schema.get("$defs", {})
    names = argument_names(spec.args)
    found = []
    for field, info in spec.args.model_fields.items():
        shape = schema.get("properties", {}).get(field, {})
        known = [name for name, of in names.items() if of == field]
        name = field if field in known else known[0]
        found.append(
            Argument(
                name=name,
                aliases=tuple(other for other in known if other != name),
                takes="expression" if shape.get("expression") else takes(shape, definitions),
                required=info.is_required(),
                default=_default(shape),
                doc=info.description or "",
            )
        )
    return sorted(found, key=lambda argument: not argument.required)


def _default(shape: Mapping[str, Any]) -> str:
    default = shape.get("default")
    return "" if default is None else json.dumps(default, ensure_ascii=False)


def takes(shape: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a value of this JSON Schema is, in a few words."""
    if "$ref" in shape:
        return takes(definitions.get(str(shape["$ref"]).rsplit("/", 1)[-1], {}), definitions)
    if "enum" in shape or "const" in shape:
        values = shape.get("enum", [shape.get("const")])
        return ", ".join(f"`{json.dumps(one).strip(chr(34))}`" for one in values)
    choices = shape.get("anyOf") or shape.get("oneOf")
    if choices:
        words = [takes(one, definitions) for one in choices if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(words))
    kind = shape.get("type")
    if isinstance(kind, list):
        return " or ".join(_WORDS[one] for one in kind if one in _WORDS)
    if kind == "array":
        items = takes(shape.get("items", {}), definitions)
        return "list" if items == "any value" else f"list ({items})"
    return _WORDS.get(str(kind), "any value")
