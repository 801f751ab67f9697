"""JSON Schema of runbooks, for editors: from the table of keywords and the actions' models.

It accepts whatever the loader accepts; a template may stand where a value may be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbops.runbook import keywords
from nbops.runbook.arguments import argument_names
from nbops.runbook.keywords import KEYWORDS, Kind, Where
from nbops.runbook.spec import ActionSpec, Catalog

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PREFIX = "ansible.builtin."
_TEMPLATE: Schema = {"$ref": "#/$defs/template"}
_WORDS = ("yes", "no", "on", "off", "true", "false", "y", "n")
_BOOL_WORDS = [*_WORDS, *(word.capitalize() for word in _WORDS), *(word.upper() for word in _WORDS)]


def runbook_schema(catalog: Catalog) -> Schema:
    """The JSON Schema (draft 2020-12) of a runbook that uses these actions."""
    specs = sorted(catalog, key=lambda spec: spec.name)
    return {
        "$schema": DIALECT,
        "title": "nbops runbook",
        "description": "Plays, in order; see docs/runbooks.md.",
        "type": "array",
        "minItems": 1,
        "items": {
            "if": _has("import_playbook", f"{_PREFIX}import_playbook"),
            "then": {"$ref": "#/$defs/import_playbook"},
            "else": {"$ref": "#/$defs/play"},
        },
        "$defs": {
            **_common(),
            "play": _object(_keyword_schemas(Where.PLAY), required=["hosts"]),
            "import_playbook": _import_playbook(),
            "block": _object(_keyword_schemas(Where.BLOCK), required=["block"]),
            "task": _task(Where.TASK, specs),
            "handler": _task(Where.HANDLER, specs),
            "nodes": _nodes(),
            "handlers": {"type": ["array", "null"], "items": {"$ref": "#/$defs/handler"}},
            **{f"action.{spec.name}": _action(spec) for spec in specs},
            **_definitions(specs),
        },
    }


def _has(*names: str) -> Schema:
    return {"anyOf": [{"required": [name]} for name in names]}


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    shape: Schema = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return shape | ({"required": required} if required else {})


def _common() -> Schema:
    condition = {"type": ["string", "boolean"]}
    return {
        "template": {"type": "string", "pattern": r"\{[{%#]"},
        "truth": {"anyOf": [{"type": "boolean"}, {"enum": [*_BOOL_WORDS, 0, 1]}]},
        "conditions": {"anyOf": [condition, {"type": "array", "items": condition}]},
        "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "vars": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        },
    }


def _nodes() -> Schema:
    return {
        "type": ["array", "null"],
        "items": {
            "if": _has("block", "rescue", "always"),
            "then": {"$ref": "#/$defs/block"},
            "else": {"$ref": "#/$defs/task"},
        },
    }


def _keyword_schemas(where: Where) -> Schema:
    shapes = {}
    for name in keywords.names(where):
        keyword = KEYWORDS[name]
        kind = "handlers" if name == "handlers" else keyword.kind
        shapes[name] = {"description": keyword.doc, **_nullable(_shape(kind))}
    return shapes


def _nullable(shape: Schema) -> Schema:
    """A keyword with nothing behind it is as if not written."""
    return {"anyOf": [shape, {"type": "null"}]}


def _shape(kind: Kind | str) -> Schema:
    text: Schema = {"type": ["string", "number", "boolean"]}
    number = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9.]+%?$"}]}
    mapping = {"anyOf": [{"type": "object"}, _TEMPLATE]}
    shapes: Mapping[str, Schema] = {
        Kind.BOOL: {"anyOf": [{"$ref": "#/$defs/truth"}, _TEMPLATE]},
        Kind.LITERAL_BOOL: {"$ref": "#/$defs/truth"},
        Kind.INT: {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+$|\{\{"}]},
        Kind.NUMBER: {"anyOf": [*number["anyOf"], _TEMPLATE]},
        Kind.TEXT: text,
        Kind.ANY: {},
        Kind.MAP: {"type": "object"},
        Kind.ARGS: mapping,
        Kind.LOOP: {"anyOf": [{"type": "array"}, _TEMPLATE]},
        Kind.HOSTS: _one_or_list({"type": "string", "minLength": 1}),
        Kind.SERIAL: _one_or_list({"anyOf": [*number["anyOf"], _TEMPLATE]}),
        Kind.ENVIRONMENT: _one_or_list(mapping),
        Kind.TEXTS: _one_or_list({"type": ["string", "number", "boolean", "array"]}),
        Kind.VARS: {"$ref": "#/$defs/vars"},
        Kind.CONDITIONS: {"$ref": "#/$defs/conditions"},
        Kind.TAGS: _one_or_list({"type": ["string", "number"]}),
        Kind.NAME: {"$ref": "#/$defs/name"},
        Kind.WORD: {"type": "string", "minLength": 1},
        Kind.ORDER: {"enum": list(keywords.ORDERS)},
        Kind.NODES: {"$ref": "#/$defs/nodes"},
        "handlers": {"$ref": "#/$defs/handlers"},
        Kind.LOOP_CONTROL: _object(_described(keywords.LOOP_CONTROL)),
        Kind.RETRY: _object(
            _described(keywords.RETRY)
            | {
                "backoff": {
                    "description": keywords.RETRY["backoff"],
                    "anyOf": [{"enum": ["fixed", "exponential"]}, _TEMPLATE],
                }
            }
        ),
    }
    return shapes[kind]


def _one_or_list(shape: Schema) -> Schema:
    return {"anyOf": [shape, {"type": "array", "items": shape}]}


def _described(names: Mapping[str, str]) -> Schema:
    return {name: {"description": text} for name, text in names.items()}


def _import_playbook() -> Schema:
    shapes = _keyword_schemas(Where.IMPORT)
    shapes[f"{_PREFIX}import_playbook"] = shapes["import_playbook"]
    return _object(shapes)


def _task(where: Where, specs: list[ActionSpec]) -> Schema:
    shapes = _keyword_schemas(where)
    imported = {
        "description": "Put the tasks of another file here.",
        "anyOf": [{"type": "string"}, _object({"file": {"type": "string"}}, ["file"])],
    }
    actions: Schema = {"import_tasks": imported}
    needs: Schema = {}
    for spec in specs:
        actions[spec.name] = {"$ref": f"#/$defs/action.{spec.name}"}
        needs[spec.name] = _required(spec)
    long = {f"{_PREFIX}{name}": shape for name, shape in actions.items()}
    return {
        **_object({**shapes, **actions, **long}),
        **_has("action", "local_action", *actions, *long),
        "if": {"required": ["args"]},
        "else": {"properties": needs},
    }


def _required(spec: ActionSpec) -> Schema:
    """The arguments that a mapping must hold, by whichever of their names."""
    names = argument_names(spec.args)
    needed = [
        _has(*(name for name, of in names.items() if of == field))
        for field, info in spec.args.model_fields.items()
        if info.is_required()
    ]
    return {"if": {"type": "object"}, "then": {"allOf": needed}} if needed else {}


def _action(spec: ActionSpec) -> Schema:
    shape = spec.args.model_json_schema(by_alias=False, ref_template=_reference(spec))
    fields = {name: loosened(one) for name, one in shape.get("properties", {}).items()}
    properties = {name: fields.get(field, {}) for name, field in argument_names(spec.args).items()}
    body: Schema = {"type": "object", "properties": properties}
    if spec.args.model_config.get("extra") != "allow":
        body["additionalProperties"] = False
    text = {"type": ["string", "number", "null"]}
    return {"description": spec.summary, "anyOf": [body, text]}


def _reference(spec: ActionSpec) -> str:
    return f"#/$defs/{spec.name}.{{model}}"


def _definitions(specs: list[ActionSpec]) -> Schema:
    """What the models of arguments refer to."""
    found: Schema = {}
    for spec in specs:
        shape = spec.args.model_json_schema(by_alias=False, ref_template=_reference(spec))
        for name, one in shape.get("$defs", {}).items():
            found[f"{spec.name}.{name}"] = loosened(one)
    return found


_LOOSE: Mapping[str, Schema] = {
    "string": {"type": ["string", "number", "boolean"]},
    "boolean": {"anyOf": [{"$ref": "#/$defs/truth"}, _TEMPLATE]},
    "integer": {"type": ["number", "string"]},
    "number": {"type": ["number", "string"]},
    "array": {"type": ["array", "string", "number"]},
    "object": {"type": ["object", "string"]},
    "null": {"type": "null"},
}


def loosened(shape: Schema) -> Schema:
    """A model's schema with what YAML and templates allow beyond it.

    Numbers and truth values may be written as text, text as numbers, a list as one item; a
    template may stand for anything.
    """
    kept: Schema = {key: shape[key] for key in ("description", "default") if key in shape}
    choices: list[Schema] = shape.get("anyOf") or shape.get("oneOf") or []
    if not choices and "$ref" in shape:
        choices = [{"$ref": shape["$ref"]}]
    elif not choices and ("enum" in shape or "const" in shape):
        choices = [{"enum": shape.get("enum", [shape.get("const")])}]
    else:
        choices = [loosened(one) for one in choices]
    if choices:
        return kept | {"anyOf": [*choices, _TEMPLATE]}
    kind = shape.get("type")
    return kept | (_LOOSE.get(kind, {}) if isinstance(kind, str) else {})
