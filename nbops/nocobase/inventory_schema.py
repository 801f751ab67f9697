"""`nbops schema inventory`: the JSON Schema of an inventory, for editors."""

from __future__ import annotations

from typing import Any

from nbops.nocobase.settings_model import Settings

_DEFS = "#/$defs/"
_GROUP_KEYS = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"

_CONNECTION: dict[str, tuple[dict[str, Any], str]] = {
    "ansible_host": ({"type": "string"}, "the address to connect to"),
    "ansible_port": (
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string"}]},
        "the port of its SSH server",
    ),
    "ansible_user": ({"type": "string"}, "the login"),
    "ansible_ssh_private_key_file": ({"type": "string"}, "the key to log in with"),
    "ansible_ssh_common_args": (
        {"type": "string"},
        "options for ssh: ProxyJump, UserKnownHostsFile, StrictHostKeyChecking, -J, -i, -p, -l, -F",
    ),
    "ansible_connection": ({"type": "string"}, "ssh, or local for this computer"),
    "ansible_become": ({"type": ["boolean", "string"]}, "act through sudo"),
    "ansible_become_user": ({"type": "string"}, "act as this user"),
    "ansible_become_method": ({"type": "string"}, "sudo"),
    "ansible_become_password": ({"type": "string"}, "a template that gives sudo's password"),
    "ansible_group_priority": ({"type": "integer"}, "decides between groups of one depth"),
}


def inventory_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of an inventory.

    Settings may be spread over groups and hosts, so the schema requires no key of
    `nocobase:`; that all are there is checked on the whole.
    """
    settings = Settings.model_json_schema(ref_template=_DEFS + "{model}")
    definitions: dict[str, Any] = settings.pop("$defs")
    for part in [settings, *definitions.values()]:
        part.pop("required", None)
        part.pop("title", None)
        for item in part.get("properties", {}).values():
            item.pop("title", None)
    variables = {key: {**shape, "description": text} for key, (shape, text) in _CONNECTION.items()}
    definitions |= {
        "settings": settings,
        "variables": {
            "type": ["object", "null"],
            "properties": {
                **variables,
                "nocobase": {"$ref": f"{_DEFS}settings"},
            },
        },
        "group": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {
                "hosts": _keyed("variables", "the hosts, each with its variables"),
                "children": _keyed("group", "groups in this one"),
                "vars": {
                    "$ref": f"{_DEFS}variables",
                    "description": "variables of all hosts of the group",
                },
            },
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nbops inventory",
        "type": "object",
        "propertyNames": {"pattern": _GROUP_KEYS, "not": {"enum": ["hosts", "vars", "children"]}},
        "additionalProperties": {"$ref": f"{_DEFS}group"},
        "$defs": definitions,
    }


def _keyed(what: str, text: str) -> dict[str, Any]:
    mapping = {"type": "object", "additionalProperties": {"$ref": _DEFS + what}}
    return {"anyOf": [{"type": ["string", "null"]}, mapping], "description": text}
