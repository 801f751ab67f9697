"""The keys of `nocobase.redis`: one server with a number per function, or a server for each."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from nbops.nocobase.settings_types import (
    SOURCE_SCHEMA,
    Flag,
    Line,
    Port,
    Section,
    Source,
    Url,
    no_bool,
    wrong,
)

_Number = Annotated[int, BeforeValidator(no_bool), Field(ge=0, le=1023)]


class RedisFunction(Section):
    """One use of Redis: which server, which of its databases."""

    database: _Number | None = Field(default=None, description="its database number")
    host: Line | None = Field(default=None, description="one of the hosts of the group `redis`")
    url: Url | None = Field(default=None, description="redis://HOST:PORT/NUMBER of another server")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        if isinstance(data, int) and not isinstance(data, bool):
            return {"database": data}
        if isinstance(data, str) or (
            isinstance(data, dict) and set(data) & {"env", "file", "command"}
        ):
            return {"url": data}
        return data

    @model_validator(mode="after")
    def _one_way(self) -> RedisFunction:
        if self.url is not None and (self.host is not None or self.database is not None):
            raise wrong("`url` says server and number already: leave out `host` and `database`")
        return self


class _ShortForms:
    """The JSON Schema of a function: a number, an address, a source, or the mapping."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^rediss?://"},
                SOURCE_SCHEMA,
                handler(schema),
            ]
        }


_Function = Annotated[RedisFunction, _ShortForms]


def _number(number: int, what: str) -> Any:
    return Field(
        default_factory=RedisFunction,
        description=f"{what}: a database number (default {number}), an address, or a mapping",
    )


class Redis(Section):
    """Cache, messages, locks and queues between the nodes."""

    managed: Flag = Field(
        default=False, description="nbops runs it on the hosts of the group `redis`"
    )
    port: Port = Field(default=6379, description="its port")
    password: Source | None = Field(default=None, description="where its password comes from")
    url: Url | None = Field(
        default=None, description="a server that is there already; the number is set per function"
    )
    cache: _Function = _number(0, "cache")
    pubsub: _Function = _number(1, "messages between nodes")
    lock: _Function = _number(2, "locks")
    queue: _Function = _number(3, "queue")
    worker_id: _Function = _number(4, "ids of the nodes")

    @model_validator(mode="after")
    def _one_way(self) -> Redis:
        if self.managed and self.url is not None:
            raise wrong("`managed: true` and `url` contradict each other: leave one of them out")
        return self
