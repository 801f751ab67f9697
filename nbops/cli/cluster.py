"""An inventory with everything that is read of it before hosts are contacted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nbops.base.command import Identity
from nbops.base.errors import NbopsError, Place, UsageError
from nbops.base.secret import Masker, Secret
from nbops.cli.extra import sealed, secret_vars
from nbops.engine.hosts import Hosts
from nbops.engine.variables import VariableStore, World
from nbops.inventory.connection import (
    PASSWORDS,
    Become,
    SshDefaults,
    become_of,
    endpoint_of,
    endpoints_of,
)
from nbops.inventory.load import load_inventory
from nbops.inventory.model import ALL, Group, Inventory
from nbops.nocobase.plugins import as_data, local_packages
from nbops.nocobase.settings import (
    FIRST,
    OTHERS,
    ROLES,
    VARIABLE,
    ClusterSettings,
    as_vars,
    load_settings,
    read_secrets,
)
from nbops.runbook.expr import Templar
from nbops.transport.endpoint import Endpoint


class Cluster:
    """An inventory with everything that is read of it before hosts are contacted.

    `also` are folders whose `group_vars/` and `host_vars/` count as well: the runbook's.

    Raises UsageError, with every problem of its kind at once, from whatever is asked first.
    """

    def __init__(
        self,
        path: Path,
        extra_vars: Mapping[str, Any] | None = None,
        also: Sequence[Path] = (),
        version: str | None = None,
    ) -> None:
        self.path = path
        self.masker = Masker()
        self._extra = sealed(extra_vars or {})
        self._version = version
        self._templar = Templar((path.parent,))
        self._learn(secret_vars(self._extra))
        self._read = _with_roles(load_inventory(path, also))
        if VARIABLE in self._extra and self._describes_a_cluster:
            raise UsageError(
                f"-e {VARIABLE}: the settings of a cluster stand in its inventory",
                hint=f"change `{VARIABLE}:` in {path}, or name another inventory with `-i`",
            )

    @property
    def _describes_a_cluster(self) -> bool:
        return any(VARIABLE in self._read.vars_of(host) for host in self._read.hosts)

    @cached_property
    def settings(self) -> ClusterSettings | None:
        """The checked `nocobase` settings; None when the inventory has none."""
        if not self._describes_a_cluster:
            return None
        settings = load_settings(self._read, self.render)
        return settings.at_version(self._version) if self._version else settings

    @cached_property
    def inventory(self) -> Inventory:
        """The inventory with the groups that have a meaning; `nocobase_first` is the node that
        is started before the others, which are in `nocobase_others`."""
        if self.settings is None:
            return self._read
        first = self.settings.first
        others = tuple(host for host in self.settings.app if host != first)
        return _with_groups(self._read, {FIRST: (first,), OTHERS: others})

    def render(self, host: str) -> Callable[[Any], Any]:
        """What evaluates the templates of a host's raw values."""
        variables = VariableStore(self._raw(self._read), Hosts(()), self._templar).of_host(host)
        return lambda value: self._templar.render(value, variables)

    def world(self, magic: Mapping[str, Any], *, packages: bool = False) -> World:
        """All variables, secrets fetched and known to the masker.

        `packages`: the plugin packages of this computer are read and checked as well.
        """
        world = self._raw(self.inventory)
        effective: dict[str, dict[str, Any]] = {}
        if self.settings is not None:
            secrets = read_secrets(self.settings)
            self._learn(secrets)
            for host, settings in self.settings.hosts.items():
                effective[host] = {VARIABLE: as_vars(settings, secrets)}
            if packages:
                known = as_data(local_packages(self.settings))
                for variables in effective.values():
                    variables[VARIABLE]["plugins"]["packages"] = known
        return World(
            inventory={host: self._sealed(host, own) for host, own in world.inventory.items()},
            groups=world.groups,
            group_names=world.group_names,
            extra=world.extra,
            settings=effective,
            magic=magic,
        )

    def _sealed(self, host: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The variables of a host, those by which it is logged in to as the secrets they are. What
        is wrong with one is told, with its place, by who connects."""
        render, secret = self.render(host), {}
        for name in PASSWORDS:
            with suppress(NbopsError):
                value = render(variables.get(name))
                if isinstance(value, str | int) and not isinstance(value, bool):
                    secret[name] = Secret(str(value))
        return {**variables, **secret}

    def endpoint(self, host: str) -> Endpoint:
        """Where a host is; one that the inventory does not know is reached by its name."""
        if host not in self.inventory.hosts:
            local = host in {"localhost", "127.0.0.1", "::1"}
            return Endpoint(host, host, connection="local" if local else "ssh")
        defaults = self.settings.ssh_defaults() if self.settings else SshDefaults()
        endpoint = endpoint_of(self.inventory, host, self.render(host), defaults, self._extra)
        self._learn([endpoint.password] if endpoint.password else [])
        return endpoint

    def check_endpoints(self) -> None:
        """Raise UsageError with everything that is wrong with how hosts are to be reached;
        their passwords are known to the masker from now on."""
        defaults = self.settings.ssh_defaults() if self.settings else SshDefaults()
        hosts = self.inventory.hosts
        endpoints = endpoints_of(self.inventory, hosts, self.render, defaults, self._extra)
        self._learn(one.password for one in endpoints.values() if one.password)
        for host in endpoints:
            self.root_identity(host)

    def root_identity(self, host: str) -> Identity:
        """Who may write the lock's record where the login user may not."""
        become = self.become(host)
        return Identity("root", become.method or "sudo", become.password)

    def become(self, host: str) -> Become:
        """Whom the inventory wants to act on a host; the password is known to the masker."""
        become = become_of(self.inventory, host, self.render(host), self._extra)
        self._learn([become.password] if become.password else [])
        return become

    def _learn(self, secrets: Iterable[Secret]) -> None:
        for secret in secrets:
            self.masker.learn(secret)

    def _raw(self, inventory: Inventory) -> World:
        return World(
            inventory={host: inventory.vars_of(host) for host in inventory.hosts},
            groups=inventory.members(),
            group_names={host: inventory.groups_of(host) for host in inventory.hosts},
            extra=self._extra,
        )


def _with_roles(inventory: Inventory) -> Inventory:
    """The groups with a meaning are there, if empty, where the inventory describes a cluster."""
    if not any(VARIABLE in inventory.vars_of(host) for host in inventory.hosts):
        return inventory
    return _with_groups(inventory, {one: () for one in ROLES if one not in inventory.groups})


def _with_groups(inventory: Inventory, hosts: Mapping[str, tuple[str, ...]]) -> Inventory:
    place = Place(str(inventory.file), 1)
    made = {name: Group(name, place, hosts=ones, parents=(ALL,)) for name, ones in hosts.items()}
    return replace(inventory, groups={**inventory.groups, **made})
