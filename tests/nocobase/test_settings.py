"""The settings of a cluster: what may be written, and how each mistake is told."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbops.base.errors import Problem, UsageError
from nbops.base.secret import Secret
from nbops.inventory.load import load_inventory
from nbops.nocobase.secrets import Reader
from nbops.nocobase.settings import ClusterSettings, Secrets, as_vars, load_settings, read_secrets

HERE = Path(__file__).parent
MISTAKES = yaml.safe_load((HERE / "wrong_settings.yml").read_text(encoding="utf-8"))
RIGHT_SECTIONS = yaml.safe_load((HERE / "right_sections.yml").read_text(encoding="utf-8"))
WRONG_SECTIONS = yaml.safe_load((HERE / "wrong_sections.yml").read_text(encoding="utf-8"))
AES_KEY = "0123456789abcdef" * 4
LAB = """\
all:
  vars:
    nocobase:
      cluster: lab
      version: 2.2.15
      image: 198.18.0.9:5000/nocobase/nocobase
      runtime: {kind: compose, dir: /opt/nocobase, port: 13000}
      database:
        kind: postgres
        managed: true
        name: nocobase
        user: nocobase
        password: {file: secrets/db_password}
      redis: {managed: true}
      balancer: {kind: nginx}
      storage: {kind: shared, path: /srv/nocobase/storage}
      secrets: {app_key: {file: secrets/app_key}, aes_key: {file: secrets/aes_key}}
      verify: {account: {email: admin@nocobase.com, password: {file: secrets/root_password}}}
  children:
    balancer: {hosts: {lb: {ansible_host: 198.18.0.2}}}
    app: {hosts: {"node[1:3]": }}
    database: {hosts: {db: }}
    redis: {hosts: {cache: }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the secrets of the lab."""
    keys = tmp_path / "secrets"
    keys.mkdir()
    for name, value in {
        "db_password": "db secret",
        "app_key": "app secret",
        "aes_key": AES_KEY,
        "root_password": "root secret",
    }.items():
        path = keys / name
        path.write_text(f"{value}\n", encoding="utf-8")
        path.chmod(0o600)
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Callable[..., ClusterSettings]:
    """Loads the settings from an inventory's text, with some of it replaced."""

    def one(text: str = LAB, **more: Any) -> ClusterSettings:
        path = folder / "inventory.yml"
        path.write_text(text, encoding="utf-8")
        return load_settings(load_inventory(path), **more)

    return one


@pytest.fixture
def problems(load: Callable[..., ClusterSettings]) -> Callable[..., list[Problem]]:
    """The problems of the lab's inventory with one piece of its text replaced."""

    def one(old: str, new: str) -> list[Problem]:
        assert old in LAB
        with pytest.raises(UsageError) as caught:
            load(LAB.replace(old, new))
        return list(caught.value.problems)

    return one


def with_settings(**sections: Any) -> str:
    """The lab's inventory with sections of the settings replaced; None removes one."""
    data = yaml.safe_load(LAB)
    settings = data["all"]["vars"]["nocobase"]
    settings.update(sections)
    data["all"]["vars"]["nocobase"] = {
        key: value for key, value in settings.items() if value is not None
    }
    return yaml.safe_dump(data, sort_keys=False)


def where(problem: Problem) -> str:
    assert problem.place is not None
    assert problem.place.file.endswith("inventory.yml")
    return f"{problem.place.line}:{problem.place.column}"


def test_what_the_lab_writes_is_right(load: Callable[..., ClusterSettings]) -> None:
    settings = load()
    assert settings.app == ("node1", "node2", "node3")
    assert settings.balancers == ("lb",)
    assert settings.databases == ("db",)
    assert settings.redis == ("cache",)
    assert set(settings.hosts) == {"node1", "node2", "node3", "lb", "db", "cache"}
    common = settings.common
    assert common.image_tag == "198.18.0.9:5000/nocobase/nocobase:2.2.15"
    assert common.database.port == 5432
    assert common.storage_path == "/srv/nocobase/storage"


def test_the_least_that_must_be_written(load: Callable[..., ClusterSettings]) -> None:
    settings = load(
        """
app: {hosts: {one: }}
db: {hosts: {d: }}
all:
  vars:
    nocobase:
      cluster: c
      version: 2.2.15
      database: {host: db.example.com, password: {env: DB}}
      secrets: {app_key: {env: A}, aes_key: {env: B}}
      balancer:
        kind: external
        address: "http://a.example"
        commands: {maintenance: "true", traffic: [./t, x]}
"""
    ).common
    assert settings.image == "nocobase/nocobase"
    assert (settings.runtime.kind, settings.runtime.port) == ("compose", 13000)
    assert settings.runtime.dir == "/opt/nocobase"
    assert (settings.database.name, settings.database.user) == ("nocobase", "nocobase")
    assert settings.storage_path == "/opt/nocobase/storage"
    assert settings.balancer.body_size == "0"
    assert not settings.balancer.sticky
    assert settings.ssh.host_keys == "strict"
    assert settings.upgrade.on_failure == "rollback"


@pytest.mark.parametrize(("old", "new", "message", "place", "hint"), MISTAKES)
def test_a_mistake_is_named_with_its_place_and_a_hint(  # noqa: PLR0917 - one a column
    problems: Callable[..., list[Problem]], old: str, new: str, message: str, place: str, hint: str
) -> None:
    found = problems(old, new)
    said = next((one for one in found if message in one.message), None)
    assert said is not None, [str(one) for one in found]
    assert not place or where(said) == place
    assert hint in (said.hint or "")


def test_all_mistakes_are_told_at_once_and_once_for_all_hosts(
    load: Callable[..., ClusterSettings],
) -> None:
    text = LAB.replace("version: 2.2.15", "version: latest").replace("port: 13000", "port: 0")
    with pytest.raises(UsageError) as caught:
        load(text + "  hosts: {lone: }\n")
    assert len(caught.value.problems) == 3
    assert caught.value.exit_code == 2


def test_no_message_repeats_a_secret(problems: Callable[..., list[Problem]]) -> None:
    for new in ("hunter2", "{fil: hunter2}", "{file: a, hunter2: b}", "[hunter2]"):
        found = problems("{file: secrets/db_password}", new)
        assert not any("hunter2" in (one.hint or "") for one in found)
        if "hunter2: b" not in new:
            assert not any("hunter2" in str(one) for one in found)
    for url in ("redis://:hunter2@h/x", "redis://:hunter2@h:1", "http://a:hunter2@b"):
        found = problems("{managed: true}", f"{{url: '{url}'}}")
        assert not any("hunter2" in str(one) for one in found)


class TestSections:
    """Further keys, each through a whole inventory."""

    @pytest.mark.parametrize(("sections", "where", "value"), RIGHT_SECTIONS)
    def test_a_key_is_taken(
        self, load: Callable[..., ClusterSettings], sections: Any, where: str, value: Any
    ) -> None:
        found = attrgetter(where)(load(with_settings(**sections)).common)
        assert (list(found) if isinstance(found, tuple) else found) == value

    @pytest.mark.parametrize(("sections", "message", "hint"), WRONG_SECTIONS)
    def test_a_wrong_value_is_told(
        self, load: Callable[..., ClusterSettings], sections: Any, message: str, hint: str
    ) -> None:
        with pytest.raises(UsageError) as caught:
            load(with_settings(**sections))
        found = [one for one in caught.value.problems if message in one.message]
        assert found, caught.value.problems
        assert hint in (found[0].hint or "")


class TestHosts:
    def test_runtime_may_differ_from_host_to_host(
        self, load: Callable[..., ClusterSettings]
    ) -> None:
        settings = load(
            LAB.replace(
                '"node[1:3]": ',
                "node1: , node2: {nocobase: {runtime: {port: 14000}}}, "
                "node3: {nocobase: {runtime: {worker_mode: '*'}}}",
            )
        )
        assert settings.hosts["node1"].runtime.port == 13000
        assert settings.hosts["node2"].runtime.port == 14000
        assert settings.hosts["node2"].runtime.dir == "/opt/nocobase"
        assert not settings.hosts["node3"].runtime.serves

    def test_settings_that_a_host_does_not_have_are_missed(
        self, load: Callable[..., ClusterSettings]
    ) -> None:
        data = yaml.safe_load(LAB)
        data["all"]["children"]["app"]["vars"] = data["all"].pop("vars")
        with pytest.raises(UsageError) as caught:
            load(yaml.safe_dump(data))
        said = [one.message for one in caught.value.problems]
        assert said == [
            "host `lb` has no variable `nocobase:`",
            "host `db` has no variable `nocobase:`",
            "host `cache` has no variable `nocobase:`",
        ]
        assert all("all" in (one.hint or "") for one in caught.value.problems)

    def test_one_node_needs_neither_redis_nor_shared_files(
        self, load: Callable[..., ClusterSettings]
    ) -> None:
        text = with_settings(redis=None, storage=None)
        data = yaml.safe_load(text)
        data["all"]["children"]["app"]["hosts"] = {"one": None}
        del data["all"]["children"]["redis"]
        assert load(yaml.safe_dump(data)).app == ("one",)

    def test_several_nodes_without_redis_are_refused(
        self, load: Callable[..., ClusterSettings]
    ) -> None:
        data = yaml.safe_load(with_settings(redis=None))
        del data["all"]["children"]["redis"]
        with pytest.raises(UsageError, match="nothing says where Redis is"):
            load(yaml.safe_dump(data))

    def test_other_groups_are_none_of_its_business(
        self, load: Callable[..., ClusterSettings]
    ) -> None:
        settings = load(f"{LAB}monitoring: {{hosts: {{grafana: {{nocobase: 1}}}}}}\n")
        assert "grafana" not in settings.hosts

    def test_a_variable_that_is_no_mapping_is_told(
        self, load: Callable[..., ClusterSettings]
    ) -> None:
        with pytest.raises(UsageError, match="must be a mapping of settings"):
            load("app: {hosts: {a: {nocobase: words}}}")


class TestTemplates:
    def test_they_are_a_problem_where_nothing_evaluates_them(
        self, problems: Callable[..., list[Problem]]
    ) -> None:
        (found,) = [
            one
            for one in problems("version: 2.2.15", "version: '{{ v }}'")
            if "template" in one.message
        ]
        assert where(found) == "5:16"

    def test_they_are_evaluated_for_each_host(self, load: Callable[..., ClusterSettings]) -> None:
        settings = load(
            LAB.replace("port: 13000", "port: '{{ port }}'"),
            render=lambda host: lambda _: 13000 + len(host),
        )
        assert settings.hosts["node1"].runtime.port == 13005
        assert settings.hosts["lb"].runtime.port == 13002


class TestSecrets:
    def test_they_are_fetched_and_masked(self, load: Callable[..., ClusterSettings]) -> None:
        settings = load()
        secrets = read_secrets(settings)
        assert {secret.reveal() for secret in secrets} == {
            "db secret", "app secret", AES_KEY, "root secret",
        }  # fmt: skip
        assert secrets.of(settings.common.database.password) == Secret("db secret")
        assert "db secret" not in repr(secrets)

    def test_each_that_cannot_be_had_is_told_at_its_place(
        self, load: Callable[..., ClusterSettings], folder: Path
    ) -> None:
        (folder / "secrets/app_key").unlink()
        (folder / "secrets/db_password").chmod(0o644)
        (folder / "secrets/aes_key").write_text("abc\n")
        settings = load(
            LAB.replace("{file: secrets/root_password}", "{env: NBOPS_TEST_NO_SUCH_NAME}")
        )
        with pytest.raises(UsageError) as caught:
            read_secrets(settings)
        said = {where(one): (one.message, one.hint or "") for one in caught.value.problems}
        assert set(said) == {"13:19", "17:26", "17:60", "18:63"}
        assert "everyone on this computer" in said["13:19"][0]
        assert "chmod 600" in said["13:19"][1]
        assert "no such file" in said["17:26"][0]
        assert "64 hex digits, and what came has 3 characters" in said["17:60"][0]
        assert "`NBOPS_TEST_NO_SUCH_NAME` is not set" in said["18:63"][0]
        assert "export" in said["18:63"][1]
        assert caught.value.exit_code == 2

    def test_a_source_is_asked_once_for_all_hosts(
        self, load: Callable[..., ClusterSettings], folder: Path
    ) -> None:
        settings = load(
            LAB.replace(
                "{file: secrets/db_password}", "{command: [sh, -c, 'echo x >> count; echo p']}"
            )
        )
        read_secrets(settings)
        assert (folder / "count").read_text() == "x\n"

    def test_loading_runs_and_reads_nothing(
        self, load: Callable[..., ClusterSettings], folder: Path
    ) -> None:
        load(LAB.replace("{file: secrets/db_password}", "{command: touch ran}"))
        assert not (folder / "ran").exists()

    def test_a_reader_of_the_callers_own_is_used(
        self, load: Callable[..., ClusterSettings], folder: Path
    ) -> None:
        settings = load(LAB.replace("{file: secrets/db_password}", "{env: DB}"))
        secrets = read_secrets(settings, Reader(folder, {"DB": "from the environment"}))
        assert secrets.of(settings.common.database.password).reveal() == "from the environment"


class TestVariables:
    @pytest.fixture
    def variables(self, load: Callable[..., ClusterSettings]) -> dict[str, Any]:
        settings = load(with_settings(env={"A": {"file": "secrets/app_key"}, "B": "b"}))
        return as_vars(settings.common, read_secrets(settings))

    def test_defaults_are_filled_in(self, variables: dict[str, Any]) -> None:
        assert variables["cluster"] == "lab"
        assert variables["storage"]["path"] == "/srv/nocobase/storage"
        assert variables["balancer"]["port"] == 80
        assert variables["redis"]["worker_id"]["database"] == 4
        assert variables["redis"]["port"] == 6379
        assert variables["plugins"]["local"] == []
        assert variables["backup"]["keep"] == 7

    def test_secrets_are_secrets(self, variables: dict[str, Any]) -> None:
        assert variables["database"]["password"] == Secret("db secret")
        assert variables["secrets"]["aes_key"] == Secret(AES_KEY)
        assert variables["env"] == {"A": Secret("app secret"), "B": "b"}
        assert "secret'" not in repr(variables)

    def test_all_else_is_plain_data(self, variables: dict[str, Any]) -> None:
        def walk(value: Any) -> None:
            if isinstance(value, dict):
                assert type(value) is dict
                for item in value.values():
                    walk(item)
            elif isinstance(value, list):
                for item in value:
                    walk(item)
            else:
                assert value is None or isinstance(value, str | int | float | bool | Secret)

        walk(variables)


def test_sessions_follow_the_settings(load: Callable[..., ClusterSettings], folder: Path) -> None:
    settings = load(
        with_settings(ssh={"host_keys": "accept-new", "known_hosts": ["kh", "/x"], "keepalive": 5})
    )
    defaults = settings.ssh_defaults()
    assert defaults.host_keys == "accept-new"
    assert defaults.known_hosts == (folder / "kh", Path("/x"))
    assert defaults.keepalive == 5


def test_a_value_is_found_again_at_its_place(load: Callable[..., ClusterSettings]) -> None:
    settings = load()
    assert str(settings.place("version")).endswith("inventory.yml:5:16")


def test_secrets_without_a_cluster_are_none() -> None:
    assert list(Secrets({})) == []
