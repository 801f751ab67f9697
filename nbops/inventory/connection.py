"""How a host is reached, and as whom: from the `ansible_…` variables to an `Endpoint`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nbops.base.errors import NbopsError, Place, Problem, UsageError
from nbops.base.secret import Secret, reveal
from nbops.base.yamlpos import did_you_mean, place_of
from nbops.inventory.model import Inventory
from nbops.inventory.sshargs import KEEP_STRICT, Jump, SshOptions, parse_port, parse_ssh_args
from nbops.inventory.sshconfig import advice_for
from nbops.transport.endpoint import Endpoint

Render = Callable[[Any], Any]
"""Evaluates a raw value of a host's: templates in it become values. May give a Secret."""

SYSTEM_SSH_CONFIG = Path("/etc/ssh/ssh_config")

# Of several names for one thing Ansible lets the last one win.
_ADDRESS = ("ansible_host", "ansible_ssh_host")
_PORT = ("ansible_port", "ansible_ssh_port")
_USER = ("ansible_user", "ansible_ssh_user")
_PASSWORD = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
_KEY = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_ARGS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
_TIMEOUT = ("ansible_timeout", "ansible_ssh_timeout")
_CHECK_KEYS = ("ansible_host_key_checking", "ansible_ssh_host_key_checking")
_BECOME_USER = ("ansible_become_user", "ansible_sudo_user")
_BECOME_PASSWORD = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
PASSWORDS = (*_PASSWORD, *_BECOME_PASSWORD)

_TUNING = frozenset(
    {
        "ansible_ssh_control_path",
        "ansible_ssh_control_path_dir",
        "ansible_ssh_pipelining",
        "ansible_ssh_retries",
        "ansible_ssh_transfer_method",
        "ansible_ssh_use_tty",
        "ansible_ssh_verbosity",
    }
)
_REFUSED = {
    "ansible_ssh_executable": "nbops connects with paramiko, no `ssh` program is run",
    "ansible_ssh_password_mechanism": "nbops hands the password over itself",
    "ansible_ssh_pkcs11_provider": "put the token's key into ssh-agent: `ssh-add -s PROVIDER`",
    "ansible_ssh_private_key": "put the key into a file of mode 0600 and name that in "
    "ansible_ssh_private_key_file, or use ssh-agent",
    "ansible_ssh_private_key_passphrase": "add the key to ssh-agent: `ssh-add FILE`",
}
_SSH_NAMES = frozenset(
    name
    for names in (_ADDRESS, _PORT, _USER, _PASSWORD, _KEY, _ARGS, _TIMEOUT, _CHECK_KEYS)
    for name in names
)
_SSH = frozenset({"ssh", "smart", "paramiko", "paramiko_ssh"})


@dataclass(frozen=True, slots=True)
class SshDefaults:
    """What holds for every host that does not say otherwise: `nocobase: {ssh: …}`.

    Times in seconds. `known_hosts` holds for jump hosts as well.
    """

    host_keys: Literal["strict", "accept-new"] = "strict"
    known_hosts: tuple[Path, ...] = ()
    config: Path | None = None
    keepalive: float = 15.0
    connect_timeout: float = 15.0


@dataclass(frozen=True, slots=True)
class Become:
    """What the inventory says of acting as another user; None where it is silent.

    As in Ansible, these win over the keywords of plays and tasks.
    """

    enabled: bool | None = None
    user: str | None = None
    method: str | None = None
    password: Secret | None = field(default=None, repr=False)


def endpoint_of(
    inventory: Inventory,
    host: str,
    render: Render | None = None,
    defaults: SshDefaults | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Endpoint:
    """Where `host` is and how it is reached.

    `extra` are variables over those of the inventory. `render` evaluates templates in the
    values; without it a template is a problem. Reads ssh_config, to refuse what paramiko would
    not do. Raises UsageError with all problems of the host at once: bad port, refused ssh
    option, unknown `ansible_ssh_…` name.
    """
    reader = _Variables(inventory, host, render, extra)
    if reader.connection() == "local":
        endpoint = Endpoint(host, "localhost", connection="local")
    else:
        endpoint = _ssh_endpoint(reader, defaults or SshDefaults())
    if reader.problems:
        raise UsageError.of(reader.problems)
    return endpoint


def endpoints_of(
    inventory: Inventory,
    hosts: Iterable[str],
    render: Callable[[str], Render] | None = None,
    defaults: SshDefaults | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Endpoint]:
    """The endpoint of each host; `render` gives the evaluator for a host.

    Raises UsageError with the problems of all hosts, one that they share told once.
    """
    found: dict[str, Endpoint] = {}
    problems: dict[Problem, None] = {}
    for host in hosts:
        try:
            found[host] = endpoint_of(inventory, host, render and render(host), defaults, extra)
        except UsageError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise UsageError.of(problems)
    return found


def become_of(
    inventory: Inventory,
    host: str,
    render: Render | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Become:
    """Whether and as whom the inventory wants tasks to act on `host`.

    Raises UsageError when a value is wrong; only `sudo` is a method that nbops has.
    """
    reader = _Variables(inventory, host, render, extra)
    method = reader.text(("ansible_become_method",))
    if method is not None and method.removeprefix("ansible.builtin.") != "sudo":
        reader.problem(
            "ansible_become_method", f"become method `{method}` is not supported", "use `sudo`"
        )
    become = Become(
        enabled=reader.truth("ansible_become"),
        user=reader.text(_BECOME_USER),
        method=method and method.removeprefix("ansible.builtin."),
        password=reader.secret(_BECOME_PASSWORD),
    )
    if reader.problems:
        raise UsageError.of(reader.problems)
    return become


def _ssh_endpoint(reader: _Variables, defaults: SshDefaults) -> Endpoint:
    reader.check_names()
    options = reader.ssh_options()
    key = reader.text(_KEY)
    timeout = reader.number(_TIMEOUT)
    endpoint = Endpoint(
        name=reader.host,
        address=options.hostname or reader.text(_ADDRESS) or reader.host,
        port=reader.port() or options.port,
        user=reader.text(_USER) or options.user,
        key_files=(*((Path(key).expanduser(),) if key else ()), *options.key_files),
        password=reader.secret(_PASSWORD),
        known_hosts=options.known_hosts or defaults.known_hosts,
        host_keys=options.host_keys or defaults.host_keys,
        ssh_config=options.config or defaults.config,
        keepalive=options.keepalive or defaults.keepalive,
        connect_timeout=timeout or options.connect_timeout or defaults.connect_timeout,
    )
    jumps = [_hop(jump, endpoint, defaults) for jump in options.jumps or ()]
    endpoint = replace(endpoint, jumps=tuple(reader.advised(jump) for jump in jumps))
    return reader.advised(endpoint)


def _hop(jump: Jump, target: Endpoint, defaults: SshDefaults) -> Endpoint:
    """A jump host: as with `ssh -J`, the target's own options do not hold for it."""
    return Endpoint(
        name=f"{jump.host} (jump host of {target.name})",
        address=jump.host,
        port=jump.port,
        user=jump.user,
        known_hosts=defaults.known_hosts,
        host_keys=target.host_keys,
        ssh_config=target.ssh_config,
        keepalive=target.keepalive,
        connect_timeout=target.connect_timeout,
    )


class _Variables:
    """Reads the connection variables of one host and collects what is wrong with them."""

    def __init__(
        self,
        inventory: Inventory,
        host: str,
        render: Render | None,
        extra: Mapping[str, Any] | None,
    ) -> None:
        self.host = host
        self.problems: list[Problem] = []
        self._values = inventory.vars_of(host)
        self._extra = extra or {}
        self._render = render
        self._fallback = inventory.host(host).place

    def connection(self) -> Literal["ssh", "local"]:
        said = self.text(("ansible_connection",))
        kind = "ssh" if said is None else said.removeprefix("ansible.builtin.")
        if kind == "local":
            return "local"
        if kind not in _SSH:
            self.problem(
                "ansible_connection",
                f"connection `{said}` is not supported",
                did_you_mean(kind, [*_SSH, "local"]) or "there are `ssh` and `local`",
            )
        return "ssh"

    def check_names(self) -> None:
        for name in (*self._values, *self._extra):
            if not str(name).startswith("ansible_ssh_") or name in _SSH_NAMES | _TUNING:
                continue
            if name in _REFUSED:
                self.problem(name, f"`{name}` is not supported", _REFUSED[name], key=True)
            else:
                self.problem(
                    name,
                    f"unknown variable `{name}`",
                    did_you_mean(name, _SSH_NAMES) or "no variable of that name does anything",
                    key=True,
                )

    def ssh_options(self) -> SshOptions:
        texts = [(name, text) for name in _ARGS if (text := self.text((name,)))]
        options = parse_ssh_args(" ".join(text for _, text in texts))
        for message, hint in options.wrong:
            option = message.split("`")[1] if "`" in message else ""
            carrier = next((name for name, text in texts if option in text), texts[0][0])
            self.problem(carrier, message, hint)
        for name in _CHECK_KEYS:
            if self.truth(name) is False:
                self.problem(name, f"`{name}: false` is refused", KEEP_STRICT)
        return options

    def advised(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with what ssh_config adds to it."""
        own = Path("~/.ssh/config").expanduser()
        files = [endpoint.ssh_config] if endpoint.ssh_config else [own, SYSTEM_SSH_CONFIG]
        advice = advice_for(endpoint.address, files)
        self.problems += advice.problems
        return replace(endpoint, known_hosts=endpoint.known_hosts or advice.known_hosts)

    def port(self) -> int | None:
        name, value = self._read(_PORT)
        if value is None:
            return None
        try:
            return parse_port(value)
        except ValueError as error:
            self.problem(name, f"`{name}`: {error}", "22 is the usual one; leave it out for that")
            return None

    def number(self, names: tuple[str, ...]) -> float | None:
        name, value = self._read(names)
        if value is None:
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = 0.0
        if isinstance(value, bool) or not 0 < number < 86_400:
            self.problem(name, f"`{name}`: {value!r} is not a number of seconds")
            return None
        return number

    def text(self, names: tuple[str, ...]) -> str | None:
        name, value = self._read(names)
        if value is None or isinstance(value, str):
            return value or None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        self.problem(name, f"`{name}` must be text")
        return None

    def secret(self, names: tuple[str, ...]) -> Secret | None:
        name, value = self._read(names, secret=True)
        if value is None:
            return None
        if isinstance(value, Secret):
            return value
        if isinstance(value, str | int) and not isinstance(value, bool):
            return Secret(str(value))
        self.problem(
            name,
            f"`{name}` must be text",
            "from a file: \"{{ lookup('file', 'PATH') }}\", from the environment: "
            "\"{{ lookup('env', 'NAME') }}\"",
        )
        return None

    def truth(self, name: str) -> bool | None:
        _, value = self._read((name,))
        if value is None or isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in {"yes", "true", "on", "1", "y", "t"}:
            return True
        if word in {"no", "false", "off", "0", "n", "f"}:
            return False
        self.problem(name, f"`{name}`: {value!r} is neither yes nor no")
        return None

    def problem(
        self, name: str, message: str, hint: str | None = None, *, key: bool = False
    ) -> None:
        if name in self._extra:
            self.problems.append(Problem(f"-e {name}=…: {message}", None, hint))
        else:
            self.problems.append(Problem(message, self._place(name, key), hint))

    def _read(self, names: tuple[str, ...], *, secret: bool = False) -> tuple[str, Any]:
        """The last of `names` that is set, and its value, templates evaluated."""
        for name in reversed(names):
            raw = self._extra.get(name, self._values.get(name))
            if raw is None:
                continue
            value = self._evaluated(name, raw)
            if isinstance(value, Secret) and not secret:
                value = reveal(value)
            if value is not None:
                return name, value
        return names[0], None

    def _evaluated(self, name: str, raw: Any) -> Any:
        if not isinstance(raw, str) or not ("{{" in raw or "{%" in raw):
            return raw
        if self._render is None:
            self.problem(name, f"`{name}` is a template, and nothing evaluates it here")
            return None
        try:
            return self._render(raw)
        except NbopsError as error:
            for one in error.problems:
                self.problem(name, f"`{name}`: {one.message}", one.hint)
            return None

    def _place(self, name: str, key: bool) -> Place | None:
        return place_of(self._values, (name,), key=key) or self._fallback
