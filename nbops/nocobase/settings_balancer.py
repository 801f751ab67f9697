"""The keys of `nocobase.balancer`, as a strict model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from nbops.nocobase.settings_types import (
    CommandLine,
    Flag,
    Line,
    Port,
    Seconds,
    Section,
    matching,
    wrong,
)


class Tls(Section):
    """A certificate, given as files on this computer."""

    certificate: Line = Field(
        description="the certificate and its chain, relative to the inventory"
    )
    key: Line = Field(description="its private key (mode 0600), relative to the inventory")


class BalancerCommands(Section):
    """What to run on this computer for a balancer that nbops does not configure."""

    drain: CommandLine | None = Field(default=None, description="take the node in $NBOPS_NODE out")
    maintenance: CommandLine = Field(description="answer 503 with Retry-After from now on")
    traffic: CommandLine = Field(description="send requests to the nodes in $NBOPS_NODES again")
    deadline: Seconds = Field(default=120.0, description="seconds that a command may take")


class Balancer(Section):
    """What stands before the nodes. With `tls` on port 443, port 80 sends visitors to HTTPS."""

    kind: Literal["nginx", "haproxy", "external"] = Field(default="nginx", description="the server")
    address: Line | None = Field(
        default=None,
        description="the public address, http://… or https://…; default: the balancer host",
    )
    port: Port | None = Field(default=None, description="its port; default 80, with `tls` 443")
    sticky: Flag = Field(
        default=False, description="the same client goes to the same node (ip_hash)"
    )
    tls: Tls | None = Field(default=None, description="serve HTTPS with this certificate")
    body_size: Annotated[
        str,
        BeforeValidator(lambda value: str(value) if type(value) is int else value),
        matching(r"\d+[kKmMgG]?", "a size such as 100m; 0 is without limit"),
    ] = Field(default="0", description="the largest upload, such as 100m; 0 is without limit")
    commands: BalancerCommands | None = Field(default=None, description="for `kind: external`")
    maintenance_page: Line | None = Field(
        default=None, description="an HTML file for the 503 page, relative to the inventory"
    )

    @model_validator(mode="after")
    def _external(self) -> Balancer:
        if self.kind == "external" and self.commands is None:
            raise wrong(
                "`kind: external` needs `commands`", "it takes drain, maintenance and traffic"
            )
        if self.kind == "external" and self.address is None:
            raise wrong("`kind: external` needs `address`", "nbops asks there what visitors get")
        if self.kind != "external" and self.commands is not None:
            raise wrong(
                f"`commands` are for `kind: external`; {self.kind} is configured by nbops",
                "leave them out",
            )
        return self
