"""`service` and `systemd`: units of systemd as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from nbops.actions.api import ActionContext, Result
from nbops.actions.outcome import failed, must
from nbops.actions.values import Plain
from nbops.base.command import quote
from nbops.base.errors import ActionFailed
from nbops.runbook.spec import ActionSpec, Args

State = Literal["started", "stopped", "restarted", "reloaded"]

_NO_SYSTEMD = 68
_RUNS = frozenset({"active", "activating", "reloading", "refreshing"})
_RETURNS = {
    "name": "The unit's name as given.",
    "state": "`started` or `stopped`.",
    "enabled": "Whether it starts with the machine.",
    "status": "Its properties, as they were before.",
}


class ServiceArgs(Args):
    """The arguments of `service`."""

    name: Plain = Field(description="The service.")
    state: State | None = Field(
        None, description="What it is to do; `restarted` and `reloaded` always act."
    )
    enabled: bool | None = Field(None, description="Start it with the machine.")

    @model_validator(mode="after")
    def _asks_something(self) -> ServiceArgs:
        if self.state is None and self.enabled is None:
            raise ValueError("one of the following is required: state, enabled")
        return self


class SystemdArgs(Args):
    """The arguments of `systemd`."""

    name: Plain | None = Field(
        None, description="The unit.", validation_alias=AliasChoices("name", "service", "unit")
    )
    state: State | None = Field(
        None, description="What it is to do; `restarted` and `reloaded` always act."
    )
    enabled: bool | None = Field(None, description="Start it with the machine.")
    masked: bool | None = Field(None, description="Make it impossible to start.")
    daemon_reload: bool = Field(
        False,
        description="Read all unit files again first.",
        validation_alias=AliasChoices("daemon_reload", "daemon-reload"),
    )
    daemon_reexec: bool = Field(
        False,
        description="Start the service manager itself again first.",
        validation_alias=AliasChoices("daemon_reexec", "daemon-reexec"),
    )
    force: bool = Field(False, description="Replace links that are in the way.")
    no_block: bool = Field(False, description="Do not wait until it has started or stopped.")
    scope: Literal["system", "user", "global"] = Field(
        "system", description="Whose manager: the machine's or the user's."
    )

    @model_validator(mode="after")
    def _asks_something(self) -> SystemdArgs:
        changes = (self.state, self.enabled, self.masked)
        if not (self.daemon_reload or self.daemon_reexec) and all(x is None for x in changes):
            raise ValueError(
                "one of the following is required: state, enabled, masked, daemon_reload, "
                "daemon_reexec"
            )
        if self.name is None and any(x is not None for x in changes):
            raise ValueError("name is required with state, enabled and masked")
        return self


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as systemd shows it; `enabled` is what `is-enabled` says of it."""

    properties: Mapping[str, str]
    enabled: str

    @property
    def known(self) -> bool:
        """Whether there is such a unit."""
        return self.properties.get("LoadState") not in {"not-found", None, ""}

    @property
    def masked(self) -> bool:
        """Whether it cannot be started."""
        return self.properties.get("LoadState") == "masked" or self.enabled.startswith("masked")

    @property
    def runs(self) -> bool:
        """Whether it runs or is about to."""
        return self.properties.get("ActiveState") in _RUNS

    @property
    def stopping(self) -> bool:
        """Whether it is about to stop."""
        return self.properties.get("ActiveState") == "deactivating"

    @property
    def starts_with_machine(self) -> bool:
        """Whether it is enabled, as the exit status of `is-enabled` tells."""
        return self.enabled in {
            "enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient"
        }  # fmt: skip


def systemctl(scope: str) -> str:
    """How systemctl is called for a scope."""
    return "systemctl" if scope == "system" else f"systemctl --{scope}"


def probe_script(name: str, scope: str) -> str:
    """Prints whether the unit is enabled, and all its properties."""
    call = systemctl(scope)
    return (
        f"command -v systemctl >/dev/null 2>&1 || exit {_NO_SYSTEMD}\n"
        f"{call} is-enabled -- {quote(name)} 2>/dev/null | head -n 1\necho =\n"
        f"{call} show -- {quote(name)}\n"
    )


def read_unit(text: str) -> Unit:
    """The answer to `probe_script`."""
    enabled, _, shown = text.partition("=\n")
    properties: dict[str, str] = {}
    last = ""
    for line in shown.splitlines():
        key, sign, value = line.partition("=")
        if sign and key.isidentifier():
            properties[key] = value
            last = key
        elif last:
            properties[last] += f"\n{line}"
    return Unit(properties, enabled.strip())


def decide(args: SystemdArgs, unit: Unit) -> tuple[list[str], list[str]]:
    """The commands of systemctl that are needed: those that do not count as a change (reading
    unit files again), and those that do."""
    quiet = ["daemon-reexec"] if args.daemon_reexec else []
    quiet += ["daemon-reload"] if args.daemon_reload else []
    if args.name is None:
        return quiet, []
    name = quote(args.name)
    force = " --force" if args.force else ""
    changes = []
    if args.masked is not None and args.masked != unit.masked:
        changes.append(f"{'mask' if args.masked else 'unmask'}{force} -- {name}")
    if args.enabled is not None and args.enabled != unit.starts_with_machine:
        changes.append(f"{'enable' if args.enabled else 'disable'}{force} -- {name}")
    verb = _verb(args.state, unit)
    if verb:
        block = " --no-block" if args.no_block else ""
        changes.append(f"{verb}{block} -- {name}")
    return quiet, changes


def _verb(state: State | None, unit: Unit) -> str:
    match state:
        case "started":
            return "" if unit.runs else "start"
        case "stopped":
            return "stop" if unit.runs or unit.stopping else ""
        case "restarted":
            return "restart" if unit.runs else "start"
        case "reloaded":
            return "reload" if unit.runs else "start"
    return ""


def act_script(scope: str, verbs: list[str]) -> str:
    """The commands, one after the other; the first that fails ends the script."""
    lines = "".join(f"{systemctl(scope)} {verb}\n" for verb in verbs)
    return f"export SYSTEMD_COLORS=0 SYSTEMD_PAGER=\nset -e\n{lines}"


def manage(args: SystemdArgs, ctx: ActionContext) -> Result:
    """Look, decide, and send what is needed."""
    unit = Unit({}, "")
    if args.name is not None:
        outcome = ctx.probe(probe_script(args.name, args.scope))
        if outcome.status == _NO_SYSTEMD:
            raise ActionFailed("this host is not run by systemd: there is no systemctl")
        must(outcome, f"looking at {args.name}")
        unit = read_unit(outcome.out)
    quiet, changes = decide(args, unit)
    values: dict[str, Any] = {"name": args.name, "status": dict(unit.properties)}
    missing = args.name is not None and not unit.known
    # A unit file that is new on disk is known only after `daemon-reload`.
    if missing and not (args.masked is not None or args.daemon_reload):
        return failed(f"Could not find the requested service {args.name}: host", **values)
    if not ctx.check and (quiet or changes):
        outcome = ctx.act(act_script(args.scope, quiet + changes))
        if not outcome.ok:
            verb = (args.state or "change").removesuffix("ed")
            text = outcome.err.strip() or f"exit status {outcome.status}"
            return failed(f"Unable to {verb} service {args.name}: {text}", **values)
    if args.enabled is not None:
        values["enabled"] = args.enabled
    if args.state is not None:
        values["state"] = "stopped" if args.state == "stopped" else "started"
    return Result(changed=bool(changes), values=values)


class SystemdAction:
    """Starts, stops, enables and masks units."""

    spec = ActionSpec(
        name="systemd",
        args=SystemdArgs,
        summary="Start, stop, enable or mask a unit of systemd; read unit files again.",
        example="- systemd:\n    name: nginx\n    state: reloaded\n    daemon_reload: true\n",
        returns=_RETURNS,
    )

    def run(self, args: SystemdArgs, ctx: ActionContext) -> Result:
        """Change what differs; in check mode, say what would be changed."""
        return manage(args, ctx)


class ServiceAction:
    """Starts, stops and enables services."""

    spec = ActionSpec(
        name="service",
        args=ServiceArgs,
        summary="Start, stop or enable a service.",
        example="- service:\n    name: nginx\n    state: started\n    enabled: true\n",
        returns=_RETURNS,
    )

    def run(self, args: ServiceArgs, ctx: ActionContext) -> Result:
        """Change what differs; in check mode, say what would be changed."""
        return manage(SystemdArgs(**args.model_dump()), ctx)
