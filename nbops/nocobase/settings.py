"""The settings of a cluster: the variable `nocobase:` of every host, checked as a whole.

`load_settings` reads and runs nothing but the inventory; `read_secrets` then fetches the
secrets, and `as_vars` gives what a runbook sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from nbops.base.errors import NbopsError, Place, Problem, UsageError
from nbops.base.secret import Secret
from nbops.base.yamlpos import YamlMap, place_of
from nbops.inventory.connection import Render, SshDefaults
from nbops.inventory.model import Inventory
from nbops.nocobase.environment import REDIS_DATABASES
from nbops.nocobase.secrets import Reader, SecretProblem
from nbops.nocobase.settings_check import cluster_problems
from nbops.nocobase.settings_errors import problems_of
from nbops.nocobase.settings_model import Settings, check_version
from nbops.nocobase.settings_types import HEX_KEY, Source

VARIABLE = "nocobase"
ROLES = ("app", "balancer", "database", "redis")
FIRST = "nocobase_first"
OTHERS = "nocobase_others"


@dataclass(frozen=True)
class ClusterSettings:
    """What the inventory says of a cluster: the settings of each of its hosts.

    `hosts` are those of the groups with a meaning; `data` holds what was written for each,
    with its places.
    """

    inventory: Inventory = field(repr=False)
    hosts: Mapping[str, Settings]
    data: Mapping[str, YamlMap] = field(repr=False)

    @property
    def common(self) -> Settings:
        """The settings that are equal on all hosts, as the first app host has them."""
        return self.hosts[self.app[0]]

    @property
    def app(self) -> tuple[str, ...]:
        """The hosts that run the app; at least one."""
        return self.inventory.hosts_of("app")

    @property
    def balancers(self) -> tuple[str, ...]:
        """The hosts of the group `balancer`."""
        return self.inventory.hosts_of("balancer")

    @property
    def databases(self) -> tuple[str, ...]:
        """The hosts of the group `database`."""
        return self.inventory.hosts_of("database")

    @property
    def redis(self) -> tuple[str, ...]:
        """The hosts of the group `redis`."""
        return self.inventory.hosts_of("redis")

    @property
    def first(self) -> str:
        """The node that is started first: one that answers requests, if there is any."""
        serving = (host for host in self.app if self.hosts[host].runtime.serves)
        return next(serving, self.app[0])

    def at_version(self, version: str) -> ClusterSettings:
        """The same for another version. Raises UsageError when it is none."""
        try:
            checked = check_version(version)
        except PydanticCustomError as error:
            hint = (error.context or {})["hint"]
            raise UsageError(f"--version {version}: {error}", hint=hint) from None
        hosts = {
            host: one.model_copy(update={"version": checked}) for host, one in self.hosts.items()
        }
        return replace(self, hosts=hosts)

    def place(self, *loc: Any, host: str | None = None) -> Place | None:
        """Where a value of a host's settings stands (default: the first app host)."""
        return place_of(self.data[host or self.app[0]], loc)

    def ssh_defaults(self) -> SshDefaults:
        """What sessions follow where a host says nothing else."""
        ssh, folder = self.common.ssh, self.inventory.folder
        return SshDefaults(
            host_keys=ssh.host_keys,
            known_hosts=tuple(folder / Path(one).expanduser() for one in ssh.known_hosts),
            config=None if ssh.config is None else folder / Path(ssh.config).expanduser(),
            keepalive=ssh.keepalive,
            connect_timeout=ssh.connect_timeout,
        )


@dataclass(frozen=True)
class Secrets:
    """The secrets of a cluster, by where they come from."""

    values: Mapping[Source, Secret] = field(repr=False)

    def __iter__(self) -> Iterator[Secret]:
        """Each value once: for the masker to learn."""
        return iter(dict.fromkeys(self.values.values()))

    def of(self, source: Source) -> Secret:
        """The secret from this source."""
        return self.values[source]


def load_settings(
    inventory: Inventory, render: Callable[[str], Render] | None = None
) -> ClusterSettings:
    """The checked settings of all hosts of the groups `app`, `balancer`, `database`, `redis`.

    `render` gives the evaluator of templates for a host; without it a template in a setting
    is a problem. Reads no file and runs nothing. Raises UsageError with every problem at
    once, each at its place with a hint.
    """
    names = _members(inventory)
    problems: dict[Problem, None] = {}
    data: dict[str, YamlMap] = {}
    hosts: dict[str, Settings] = {}
    checked: dict[str, Settings | None] = {}
    for host in names:
        raw = _raw(inventory, host, problems)
        if raw is None:
            continue
        data[host] = raw
        plain = _plain(raw, render and render(host), (), raw, problems)
        key = repr(plain)
        if key not in checked:
            checked[key] = _validated(plain, raw, problems)
        settings = checked[key]
        if settings is not None:
            hosts[host] = settings
    problems.update(dict.fromkeys(cluster_problems(inventory, hosts, data)))
    if problems:
        raise UsageError.of(problems)
    return ClusterSettings(inventory, hosts, data)


def read_secrets(settings: ClusterSettings, reader: Reader | None = None) -> Secrets:
    """Fetch every secret that the settings name; each source is asked once.

    Reads files, environment variables and the output of commands, relative to the
    inventory's folder. Raises UsageError with every secret that cannot be had, at its place.
    """
    reader = reader or Reader(settings.inventory.folder.absolute())
    found: dict[Source, Secret] = {}
    problems: dict[Problem, None] = {}
    failed: dict[Source, SecretProblem] = {}
    for host, model in settings.hosts.items():
        for loc, source in sources_in(model):
            place = place_of(settings.data[host], loc)
            if source not in found and source not in failed:
                try:
                    found[source] = _fetch(reader, source)
                except SecretProblem as error:
                    failed[source] = error
            name = ".".join(str(part) for part in loc)
            if source in failed:
                problems[_secret_problem(name, failed[source], place)] = None
            elif (wrong := _unfit(name, found[source])) is not None:
                problems[Problem(wrong[0], place, wrong[1])] = None
    if problems:
        raise UsageError.of(problems)
    return Secrets(found)


def as_vars(settings: Settings, secrets: Secrets) -> dict[str, Any]:
    """The effective `nocobase` variable of a host, for runbooks: plain data, defaults filled
    in, every secret as `Secret`."""
    data: dict[str, Any] = _dump(settings, secrets)
    data["storage"]["path"] = settings.storage_path
    balancer = data["balancer"]
    balancer["port"] = balancer["port"] or (443 if balancer["tls"] else 80)
    for function, number in REDIS_DATABASES.items():
        part = data["redis"][function]
        if part["url"] is None and part["database"] is None:
            part["database"] = number
    return data


def sources_in(value: Any, loc: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Source]]:
    """Every source of a secret in a model, with the keys that lead to it."""
    if isinstance(value, Source):
        yield loc, value
    elif isinstance(value, BaseModel):
        for key, item in value:
            yield from sources_in(item, (*loc, key))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from sources_in(item, (*loc, key))


def _members(inventory: Inventory) -> list[str]:
    return list(dict.fromkeys(host for role in ROLES for host in inventory.hosts_of(role)))


def _raw(inventory: Inventory, host: str, problems: dict[Problem, None]) -> YamlMap | None:
    """What is written under `nocobase:` for a host; None, with a problem, when nothing is."""
    variables = inventory.vars_of(host)
    raw = variables.get(VARIABLE)
    if isinstance(raw, YamlMap):
        return raw
    if raw is None:
        message = f"host `{host}` has no variable `{VARIABLE}:`"
        hint = "write it under `all:` `vars:`, so that it holds for all hosts"
        problems[Problem(message, inventory.host(host).place, hint)] = None
    else:
        place = place_of(variables, (VARIABLE,))
        problems[Problem(f"`{VARIABLE}:` must be a mapping of settings", place)] = None
    return None


def _plain(
    value: Any,
    render: Render | None,
    loc: tuple[Any, ...],
    root: YamlMap,
    problems: dict[Problem, None],
) -> Any:
    """Plain data without empty values (they stand for the default), templates evaluated."""
    if isinstance(value, dict):
        items = (
            (key, _plain(item, render, (*loc, key), root, problems)) for key, item in value.items()
        )
        return {key: item for key, item in items if item is not None}
    if isinstance(value, list):
        return [
            _plain(item, render, (*loc, number), root, problems)
            for number, item in enumerate(value)
        ]
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        place = place_of(root, loc)
        if render is not None:
            return _rendered(value, render, place, problems)
        problems[Problem("a template, and nothing evaluates it here", place)] = None
        return None
    return value


def _rendered(
    value: str, render: Render, place: Place | None, problems: dict[Problem, None]
) -> Any:
    try:
        return render(value)
    except NbopsError as error:
        problems.update({Problem(one.message, place, one.hint): None for one in error.problems})
        return None


def _validated(plain: Any, raw: YamlMap, problems: dict[Problem, None]) -> Settings | None:
    try:
        return Settings.model_validate(plain)
    except ValidationError as error:
        problems.update(dict.fromkeys(problems_of(error, raw, Settings)))
        return None


def _fetch(reader: Reader, source: Source) -> Secret:
    if source.env is not None:
        return reader.variable(source.env)
    if source.file is not None:
        return reader.file(source.file)
    return reader.command(source.command or "")


def _secret_problem(name: str, error: SecretProblem, place: Place | None) -> Problem:
    return Problem(f"secret `{name}` cannot be had: {error}", place, error.hint)


def _unfit(name: str, secret: Secret) -> tuple[str, str] | None:
    """What is wrong with a secret's value, and a hint; the value itself is not told."""
    if name == "secrets.aes_key" and not HEX_KEY.fullmatch(secret.reveal()):
        length = len(secret.reveal())
        return (
            f"`{name}` must be 64 hex digits, and what came has {length} characters",
            "`openssl rand -hex 32` makes one for a new cluster; an old one keeps its own",
        )
    return None


def _dump(value: Any, secrets: Secrets) -> Any:
    if isinstance(value, Source):
        return secrets.of(value)
    if isinstance(value, BaseModel):
        return {key: _dump(item, secrets) for key, item in value}
    if isinstance(value, dict):
        return {key: _dump(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_dump(item, secrets) for item in value]
    return value
