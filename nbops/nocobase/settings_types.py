"""Types that the settings are made of: ports, names, folders, addresses, and where a secret
comes from. Each says in the user's words what is wrong with a value."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
HOW_SECRETS_COME = (
    "secrets are never in the inventory: put it into a file of mode 0600 and write "
    "{file: PATH}; or {env: NAME}, or {command: …}"
)


def wrong(message: str, hint: str = "") -> PydanticCustomError:
    """An error in a value, in the user's words."""
    return PydanticCustomError("nbops", "{message}", {"message": message, "hint": hint})


def no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise wrong(f"must be a number, not {str(value).lower()}")
    return value


def no_control(value: str) -> str:
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in value):
        raise wrong(
            "must be one line, without control characters", "encode it, for example with base64"
        )
    return value


def matching(pattern: str, meaning: str) -> AfterValidator:
    shape = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not shape.fullmatch(value):
            raise wrong(f"{value!r} is not {meaning}")
        return value

    return AfterValidator(check)


Line = Annotated[str, AfterValidator(no_control)]
Port = Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=65535)]
Count = Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=10_000)]
Seconds = Annotated[float, BeforeValidator(no_bool), Field(gt=0, le=86_400)]
Flag = Annotated[bool, Field(strict=True)]
Folder = Annotated[
    str,
    matching(r"(?!.*/\.\.?(/|$))/[\w./@+-]*[\w@+-]", "an absolute path of plain characters"),
]
Name = Annotated[
    str, matching(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", "a name of letters, digits, `_` and `-`")
]
Address = Annotated[str, matching(r"[\w.-]+|\[?[0-9a-fA-F:]+\]?", "a host name or an IP address")]


class Section(BaseModel):
    """A part of the settings: unknown keys are refused, nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Source(Section):
    """Where a secret comes from: exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    env: Line | None = Field(default=None, description="an environment variable of this computer")
    file: Line | None = Field(
        default=None, description="a file on this computer, relative to the inventory's folder"
    )
    command: Line | tuple[Line, ...] | None = Field(
        default=None,
        description="a command on this computer that prints it; a list, or text in words",
    )

    @model_validator(mode="before")
    @classmethod
    def _only_a_source(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise wrong("a secret does not stand here itself", HOW_SECRETS_COME)
        given = [key for key in ("env", "file", "command") if key in data]
        if len(given) != 1 and not set(data) - {"env", "file", "command"}:
            raise wrong("a secret comes from one of `env`, `file` and `command`", HOW_SECRETS_COME)
        if "command" in data and not data["command"]:
            raise wrong("the command is empty")
        return data

    def __str__(self) -> str:
        kind, value = next((key, value) for key, value in self if value is not None)
        return f"{{{kind}: {value if isinstance(value, str) else ' '.join(value)}}}"


def plain_or_source(value: Any) -> Any:
    return value if isinstance(value, Source | str) else Source.model_validate(value)


def _plain_url(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(
            r"rediss?://(?:[^@/]*@)?([\w.-]+|\[[0-9a-fA-F:]+\])(:\d+)?(/\d+)?", value
        )
        if not match:
            raise wrong("is not redis://HOST:PORT/NUMBER or rediss://…")
        if "@" in value and ":" in value.split("//", 1)[1].rsplit("@", 1)[0]:
            raise wrong("the address holds a password", HOW_SECRETS_COME)
    return value


_WORD = {"type": "string", "minLength": 1}
SOURCE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        "env": _WORD,
        "file": _WORD,
        "command": {"anyOf": [_WORD, {"type": "array", "items": {"type": "string"}}]},
    },
}
Url = Annotated[
    Any,
    BeforeValidator(plain_or_source),
    AfterValidator(_plain_url),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^rediss?://"}, SOURCE_SCHEMA]}),
]

CommandLine = Annotated[
    Line | tuple[Line, ...],
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
