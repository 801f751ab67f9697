from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbops.base.errors import UsageError
from nbops.base.secret import Secret
from nbops.inventory import connection
from nbops.inventory.connection import Become, SshDefaults, become_of, endpoint_of, endpoints_of
from nbops.inventory.model import Inventory
from nbops.transport.endpoint import Endpoint

Load = Callable[..., Inventory]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder and a system configuration of the test's own."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr(connection, "SYSTEM_SSH_CONFIG", tmp_path / "ssh_config")
    return folder


@pytest.fixture
def endpoint(load: Load) -> Callable[..., Endpoint]:
    """The endpoint of a host with these variables, written as a YAML mapping."""

    def one(variables: str, **more: Any) -> Endpoint:
        return endpoint_of(load(f"all:\n  hosts:\n    h: {{{variables}}}\n"), "h", **more)

    return one


@pytest.fixture
def refused(load: Load) -> Callable[..., tuple[str, str, str]]:
    """Message, `line:column` and hint of the only problem with these variables."""

    def one(variables: str) -> tuple[str, str, str]:
        with pytest.raises(UsageError) as caught:
            endpoint_of(load(f"all:\n  hosts:\n    h: {{{variables}}}\n"), "h")
        (problem,) = caught.value.problems
        assert problem.place is not None
        where = f"{problem.place.line}:{problem.place.column}"
        return problem.message, where, problem.hint or ""

    return one


def test_a_host_without_variables_is_left_to_ssh_config(endpoint: Callable[..., Endpoint]) -> None:
    assert endpoint("") == Endpoint("h", "h")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ("ansible_host: 10.0.0.1", {"address": "10.0.0.1"}),
        ("ansible_host: a, ansible_ssh_host: b", {"address": "b"}),
        ("ansible_port: 2222", {"port": 2222}),
        ("ansible_port: '2222'", {"port": 2222}),
        ("ansible_port: 22, ansible_ssh_port: 23", {"port": 23}),
        ("ansible_port: 22, ansible_ssh_common_args: -p 23", {"port": 22}),
        ("ansible_ssh_common_args: -p 23", {"port": 23}),
        ("ansible_user: ops", {"user": "ops"}),
        ("ansible_user: 1000", {"user": "1000"}),
        ("ansible_ssh_user: ops, ansible_user: other", {"user": "ops"}),
        ("ansible_password: hidden", {"password": Secret("hidden")}),
        ("ansible_ssh_pass: hidden", {"password": Secret("hidden")}),
        ("ansible_password: 1234", {"password": Secret("1234")}),
        ("ansible_ssh_private_key_file: /k", {"key_files": (Path("/k"),)}),
        ("ansible_private_key_file: k", {"key_files": (Path("k"),)}),
        (
            "ansible_ssh_private_key_file: /k, ansible_ssh_extra_args: -i /l",
            {"key_files": (Path("/k"), Path("/l"))},
        ),
        ("ansible_ssh_timeout: 5", {"connect_timeout": 5.0}),
        ("ansible_timeout: 5", {"connect_timeout": 5.0}),
        ("ansible_connection: ssh", {}),
        ("ansible_connection: ansible.builtin.ssh", {}),
        ("ansible_connection: smart", {}),
        ("ansible_connection: paramiko", {}),
        ("ansible_ssh_pipelining: true, ansible_ssh_retries: 3", {}),
        ("ansible_python_interpreter: /usr/bin/python3", {}),
        ("ansible_ssh_common_args: ''", {}),
        ("ansible_host: null", {}),
        (
            "ansible_ssh_common_args: "
            "-o UserKnownHostsFile=/kh -o StrictHostKeyChecking=accept-new",
            {"known_hosts": (Path("/kh"),), "host_keys": "accept-new"},
        ),
        ("ansible_ssh_extra_args: -F /dev/null", {"ssh_config": Path("/dev/null")}),
    ],
)
def test_variables_become_an_endpoint(
    endpoint: Callable[..., Endpoint], variables: str, expected: dict[str, Any]
) -> None:
    assert endpoint(variables) == Endpoint(**{"name": "h", "address": "h", **expected})


def test_a_home_folder_in_a_path_is_the_users(
    endpoint: Callable[..., Endpoint], home: Path
) -> None:
    assert endpoint("ansible_ssh_private_key_file: ~/.ssh/k").key_files == (home / ".ssh/k",)


def test_local_needs_no_ssh(endpoint: Callable[..., Endpoint], load: Load) -> None:
    assert endpoint("ansible_connection: local").connection == "local"
    assert endpoint_of(load("all: {hosts: {h: }}"), "localhost").connection == "local"


def test_jump_hosts_come_in_the_order_of_connecting(endpoint: Callable[..., Endpoint]) -> None:
    found = endpoint(
        "ansible_ssh_common_args: '-J op@b1:2222,b2 -o UserKnownHostsFile=/kh', ansible_user: me"
    )
    assert [(jump.address, jump.port, jump.user) for jump in found.jumps] == [
        ("b1", 2222, "op"),
        ("b2", None, None),
    ]
    assert all(jump.host_keys == "strict" for jump in found.jumps)
    assert all(jump.known_hosts == () for jump in found.jumps), "as with `ssh -J`"


def test_defaults_hold_where_the_host_is_silent(endpoint: Callable[..., Endpoint]) -> None:
    defaults = SshDefaults(
        host_keys="accept-new",
        known_hosts=(Path("/kh"),),
        config=Path("/cfg"),
        keepalive=3,
        connect_timeout=4,
    )
    plain = endpoint("ansible_ssh_common_args: -J b", defaults=defaults)
    for one in (plain, *plain.jumps):
        assert one.host_keys == "accept-new"
        assert one.known_hosts == (Path("/kh"),)
        assert one.ssh_config == Path("/cfg")
        assert (one.keepalive, one.connect_timeout) == (3, 4)
    own = endpoint(
        "ansible_ssh_common_args: -o StrictHostKeyChecking=yes -o ConnectTimeout=9",
        defaults=defaults,
    )
    assert (own.host_keys, own.connect_timeout) == ("strict", 9.0)


@pytest.mark.parametrize(
    ("variables", "message", "where", "hint"),
    [
        ("ansible_port: 99999", "between 1 and 65535", "3:23", ""),
        ("ansible_port: 0", "between 1 and 65535", "3:23", ""),
        ("ansible_port: ssh", "not a port", "3:23", ""),
        ("ansible_port: true", "not a port", "3:23", ""),
        ("ansible_port: 22.5", "not a port", "3:23", ""),
        ("ansible_port: [22]", "not a port", "3:23", ""),
        ("ansible_host: [a]", "must be text", "3:23", ""),
        ("ansible_user: {a: b}", "must be text", "3:23", ""),
        ("ansible_password: {file: x}", "must be text", "3:27", "lookup('file'"),
        ("ansible_timeout: soon", "number of seconds", "3:26", ""),
        ("ansible_timeout: -1", "number of seconds", "3:26", ""),
        ("ansible_ssh_private_key_fil: k", "unknown variable", "3:9", "private_key_file"),
        ("ansible_ssh_comon_args: k", "unknown variable", "3:9", "ansible_ssh_common_args"),
        ("ansible_ssh_executable: /bin/ssh", "not supported", "3:9", "paramiko"),
        ("ansible_ssh_private_key_passphrase: x", "not supported", "3:9", "ssh-add"),
        ("ansible_connection: docker", "`docker` is not supported", "3:29", "ssh"),
        ("ansible_connection: locl", "`locl` is not supported", "3:29", "`local`"),
        ("ansible_ssh_extra_args: -o StrictHostKeyChecking=no", "`no` is refused", "3:33", "keys"),
        ("ansible_host_key_checking: false", "refused", "3:36", "accept-new"),
        ("ansible_ssh_common_args: -o HostKeyAlias=x", "`HostKeyAlias`", "3:34", "known_hosts"),
        ("ansible_host: '{{ x }}'", "is a template", "3:23", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    refused: Callable[..., tuple[str, str, str]],
    variables: str,
    message: str,
    where: str,
    hint: str,
) -> None:
    said = refused(variables)
    assert message in said[0]
    assert said[1] == where
    assert hint in said[2]


def test_an_option_is_blamed_on_the_variable_that_carries_it(
    refused: Callable[..., tuple[str, str, str]],
) -> None:
    said = refused("ansible_ssh_common_args: -q, ansible_ssh_extra_args: -o Foo=1")
    assert said[1] == "3:62"


def test_a_password_is_never_shown(endpoint: Callable[..., Endpoint]) -> None:
    assert "hidden" not in repr(endpoint("ansible_password: hidden"))


def test_templates_are_evaluated_by_who_can(endpoint: Callable[..., Endpoint]) -> None:
    values = {"{{ address }}": "10.0.0.9", "{{ port }}": 2200, "{{ secret }}": Secret("hidden")}
    found = endpoint(
        "ansible_host: '{{ address }}', ansible_port: '{{ port }}', "
        "ansible_password: '{{ secret }}', ansible_user: '{{ secret }}'",
        render=values.__getitem__,
    )
    assert (found.address, found.port, found.user) == ("10.0.0.9", 2200, "hidden")
    assert found.password == Secret("hidden")


def test_all_hosts_are_checked_and_a_shared_mistake_told_once(load: Load) -> None:
    inventory = load(
        "app:\n  hosts: {a: , b: {ansible_host: []}}\n  vars: {ansible_port: 0}\n"
        "db: {hosts: {c: }}\n"
    )
    with pytest.raises(UsageError) as caught:
        endpoints_of(inventory, ["a", "b", "c"])
    places = [str(problem.place).rsplit("yml:", 1)[1] for problem in caught.value.problems]
    assert places == ["3:24", "2:34"]
    assert list(endpoints_of(inventory, ["c"])) == ["c"]


class TestBecome:
    @pytest.mark.parametrize(
        ("variables", "expected"),
        [
            ("", Become()),
            ("ansible_become: true", Become(enabled=True)),
            ("ansible_become: 'yes'", Become(enabled=True)),
            ("ansible_become: 'False'", Become(enabled=False)),
            ("ansible_become_user: app", Become(user="app")),
            ("ansible_become_method: sudo", Become(method="sudo")),
            ("ansible_become_method: ansible.builtin.sudo", Become(method="sudo")),
            ("ansible_become_password: p", Become(password=Secret("p"))),
            ("ansible_become_pass: p", Become(password=Secret("p"))),
            ("ansible_sudo_pass: 12, ansible_become_password: x", Become(password=Secret("12"))),
        ],
    )
    def test_it_is_read_from_the_variables(
        self, load: Load, variables: str, expected: Become
    ) -> None:
        assert become_of(load(f"all: {{hosts: {{h: {{{variables}}}}}}}"), "h") == expected

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ("ansible_become_method: su", "`su` is not supported"),
            ("ansible_become: maybe", "neither yes nor no"),
            ("ansible_become_user: []", "must be text"),
        ],
    )
    def test_what_is_wrong_is_told(self, load: Load, variables: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            become_of(load(f"all: {{hosts: {{h: {{{variables}}}}}}}"), "h")

    def test_the_password_is_never_shown(self, load: Load) -> None:
        become = become_of(load("all: {hosts: {h: {ansible_become_pass: hidden}}}"), "h")
        assert "hidden" not in repr(become)


class TestSshConfig:
    def test_what_paramiko_knows_is_left_to_it(
        self, endpoint: Callable[..., Endpoint], home: Path
    ) -> None:
        (home / ".ssh/config").write_text("Host h\n  User x\n  Port 2\n  ProxyJump b\n")
        assert endpoint("") == Endpoint("h", "h")

    def test_a_file_of_known_hosts_is_honoured(
        self, endpoint: Callable[..., Endpoint], home: Path
    ) -> None:
        (home / ".ssh/config").write_text("Host 10.*\n  UserKnownHostsFile ~/a /b\n")
        assert endpoint("ansible_host: 10.0.0.1").known_hosts == (home / "a", Path("/b"))
        assert endpoint("ansible_host: 11.0.0.1").known_hosts == ()

    @pytest.mark.parametrize(
        ("config", "message", "where"),
        [
            ("Host h\n  HostKeyAlias x\n", "`hostkeyalias` for `h`", "2:3"),
            ("HostKeyAlias=x\n", "`hostkeyalias` for `h`", "1:1"),
            ("Host *\n  UserKnownHostsFile /dev/null\n", "would know no host", "2:3"),
            ("Include more/*\n", "`hostkeyalias` for `h`", "2:3"),
            ("Host h\n  Include more/one\n", "`hostkeyalias` for `h`", "2:3"),
            ("Include ~/.ssh/nested\n", "`hostkeyalias` for `h`", "2:3"),
            ("Match host h\n  HostKeyAlias x\n", "`hostkeyalias`", "2:3"),
            ("Match exec true\n  HostKeyAlias x\n", "`hostkeyalias`", "2:3"),
            ("Host x h !y\n  KnownHostsCommand z\n", "`knownhostscommand`", "2:3"),
            ("Host h\n  RevokedHostKeys ~/revoked\n", "`revokedhostkeys` for `h`", "2:3"),
        ],
    )
    def test_what_it_does_not_know_is_refused_for_hosts_that_it_concerns(
        self,
        refused: Callable[..., tuple[str, str, str]],
        home: Path,
        config: str,
        message: str,
        where: str,
    ) -> None:
        (home / ".ssh/more").mkdir()
        (home / ".ssh/more/one").write_text("Host h\n  HostKeyAlias x\n")
        (home / ".ssh/nested").write_text("Include more/one\n")
        (home / ".ssh/config").write_text(config)
        said = refused("")
        assert message in said[0]
        assert said[1] == where
        assert said[2]

    @pytest.mark.parametrize(
        "config",
        [
            "Host other\n  HostKeyAlias x\n",
            "Host * !h\n  HostKeyAlias x\n",
            "Match host other\n  HostKeyAlias x\n",
            "Include nowhere/*\n",
            "Include other\n",
            "Host other\n  Include one\n",
            "# HostKeyAlias x\n\n",
        ],
    )
    def test_and_passed_over_for_hosts_that_it_does_not(
        self, endpoint: Callable[..., Endpoint], home: Path, config: str
    ) -> None:
        (home / ".ssh/one").write_text("Port 1\n")
        (home / ".ssh/other").write_text("Host other\n  Port 1\nHost *\n  SendEnv LANG\n")
        (home / ".ssh/config").write_text(config)
        assert endpoint("") == Endpoint("h", "h")

    def test_the_systems_file_counts_too(
        self, refused: Callable[..., tuple[str, str, str]], tmp_path: Path
    ) -> None:
        (tmp_path / "ssh_config").write_text("HostKeyAlias x\n")
        assert "hostkeyalias" in refused("")[0]

    def test_a_jump_host_is_looked_at_as_well(
        self, refused: Callable[..., tuple[str, str, str]], home: Path
    ) -> None:
        (home / ".ssh/config").write_text("Host b\n  HostKeyAlias x\n")
        assert "`hostkeyalias` for `b`" in refused("ansible_ssh_common_args: -J b")[0]

    def test_a_file_that_includes_itself_ends(
        self, endpoint: Callable[..., Endpoint], home: Path
    ) -> None:
        (home / ".ssh/config").write_text("Include config\n")
        assert endpoint("") == Endpoint("h", "h")

    def test_only_the_file_that_is_named_counts(
        self, endpoint: Callable[..., Endpoint], home: Path
    ) -> None:
        (home / ".ssh/config").write_text("HostKeyAlias x\n")
        assert endpoint("ansible_ssh_common_args: -F none").ssh_config == Path("/dev/null")
