"""The settings of a cluster: what may be written, and how each mistake is told."""

# ruff: noqa: E501 - tables read better in long lines

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbops.base.errors import Problem, UsageError
from nbops.base.secret import Secret
from nbops.inventory.load import load_inventory
from nbops.nocobase.secrets import Reader
from nbops.nocobase.settings import ClusterSettings, Secrets, as_vars, load_settings, read_secrets

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
      balancer: {kind: external, commands: {maintenance: "true", traffic: [./t, x]}}
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


@pytest.mark.parametrize(
    ("old", "new", "message", "place", "hint"),
    [
        # unknown keys, at every depth
        ("cluster: lab", "clutser: lab\n      cluster: lab", "unknown key `clutser`", "4:7", "`cluster`"),
        ("port: 13000", "prot: 13000", "unknown key `prot` under `nocobase.runtime", "7:52", "`port`"),
        ("{managed: true}", "{manged: true}", "unknown key `manged`", "14:15", "`managed`"),
        ("{managed: true}", "{managed: true, lock: {databse: 1}}", "under `nocobase.redis.lock", "14:37", "`database`"),
        ("{file: secrets/db_password}", "{fil: x}", "unknown key `fil`", "13:20", "`file`"),
        ("kind: nginx", "zzz: 1", "unknown key `zzz` under `nocobase.balancer", "15:18", "the keys are kind"),
        ("email: admin", "mail: x, email: admin", "unknown key `mail`", "18:26", "`email`"),
        # wrong values
        ("cluster: lab", "cluster: la b", "`cluster`: 'la b' is not a name", "4:16", ""),
        ("cluster: lab", "cluster: 12", "`cluster`: must be text, not a number", "4:16", '"12"'),
        ("cluster: lab", "cluster: a;rm", "is not a name", "4:16", ""),
        ("version: 2.2.15", "version: 2.2", "must be text, not a number", "5:16", '"2.2"'),
        ("version: 2.2.15", "version: '2.2'", "is not a version", "5:16", "2.2.15"),
        ("version: 2.2.15", "version: latest", "alias that moves", "5:16", "pin a number"),
        ("version: 2.2.15", "version: latest-full", "alias that moves", "5:16", "pin a number"),
        ("version: 2.2.15", "version: beta", "alias that moves", "5:16", "pin a number"),
        ("version: 2.2.15", "version: v2.2.15", "is not a version", "5:16", ""),
        ("nocobase/nocobase\n", "nocobase/nocobase:2.2.15\n", "without its tag", "6:14", "version: 2.2.15"),
        ("nocobase/nocobase\n", "nocobase@sha256:aa\n", "without its digest", "6:14", ""),
        ("198.18.0.9:5000/nocobase/nocobase", "Noco Base", "not the name of an image", "6:14", ""),
        ("port: 13000", "port: 99999", "99999 must be at most 65535", "7:58", ""),
        ("port: 13000", "port: 0", "0 must be at least 1", "7:58", ""),
        ("port: 13000", "port: http", "must be a whole number", "7:58", ""),
        ("port: 13000", "port: true", "must be a number, not true", "7:58", ""),
        ("port: 13000", "port: 80.5", "must be a whole number", "7:58", ""),
        ("port: 13000", "instances: 0", "0 must be at least 1", "7:63", ""),
        ("port: 13000", "port: 65535, instances: 2", "beyond 65535", "7:16", ""),
        ("port: 13000", "cluster_mode: 0", "from 1 to 256", "7:16", ""),
        ("kind: compose", "kind: compsoe", "'compsoe' is not one of compose, pm2", "7:23", "`compose`"),
        ("dir: /opt/nocobase", "dir: opt", "not an absolute path", "7:37", ""),
        ("dir: /opt/nocobase", "dir: /opt/../etc", "not an absolute path", "7:37", ""),
        ("dir: /opt/nocobase", "dir: /../etc", "not an absolute path", "7:37", ""),
        ("dir: /opt/nocobase", "dir: /opt/.", "not an absolute path", "7:37", ""),
        ("version: 2.2.15", "version: ２.２.１５", "is not a version", "5:16", ""),
        ("cluster: lab", "cluster: läb", "is not a name", "4:16", ""),
        ("dir: /opt/nocobase", "dir: '/opt/a b'", "plain characters", "7:37", ""),
        ("dir: /opt/nocobase", "dir: '/opt/$(x)'", "plain characters", "7:37", ""),
        ("dir: /opt/nocobase", "dir: /", "not an absolute path", "7:37", ""),
        ("kind: postgres", "kind: postgre", "'postgre' is not one of", "9:15", "`postgres`"),
        ("managed: true\n", "managed: 'yes'\n", "must be true or false", "10:18", ""),
        ("name: nocobase\n", "name: \"a'b\"\n", "is not a name of letters", "11:15", ""),
        ("user: nocobase\n", "user: 'a;b'\n", "is not a name of letters", "12:15", ""),
        ("kind: nginx", "body_size: 100x", "is not a size", "15:29", ""),
        ("{kind: nginx}", "nginx", "`balancer`: must be a mapping", "15:17", ""),
        ("{kind: nginx}", "{kind: external}", "needs `commands`", "15:17", "drain"),
        ("path: /srv/nocobase/storage", "kin: 1", "unknown key `kin`", "16:31", "`kind`"),
        ("admin@nocobase.com", "admin", "is not an email address", "18:33", ""),
        # secrets
        ("{file: secrets/db_password}", "hunter2", "a secret does not stand here", "13:19", "{file: PATH}"),
        ("{file: secrets/db_password}", "{}", "one of `env`, `file`", "13:19", ""),
        ("{file: secrets/db_password}", "{file: a, env: B}", "one of `env`, `file`", "13:19", ""),
        ("{file: secrets/db_password}", "{command: []}", "the command is empty", "13:19", ""),
        ("{file: secrets/db_password}", "{file: [a]}", "must be text", "13:26", ""),
        ("        password: {file: secrets/db_password}\n", "", "`database.password` is missing", "8:7", "{file: PATH}"),
        ("aes_key: {file: secrets/aes_key}", "", "`secrets.aes_key` is missing", "17:7", "openssl rand -hex 32"),
        ("{managed: true}", "{managed: true, lock: 'redis://:pw@h:1/2'}", "holds a password", "14:36", "{file: PATH}"),
        ("{managed: true}", "{managed: true, lock: 'http://h'}", "redis://HOST:PORT", "14:36", ""),
        ("{managed: true}", "{managed: true, url: 'redis://h:1'}", "contradict", "14:14", ""),
        # hosts and groups
        ("    app:", "    apps:", "no host in the group `app`", "1:1", "`apps`"),
        ("    database: {hosts: {db: }}\n", "", "no host in the group `database`", "10:18", "`host`"),
        ("    redis: {hosts: {cache: }}\n", "", "no host in the group `redis`", "14:24", "`url`"),
        ("balancer: {hosts: {lb: {ansible_host: 198.18.0.2}}}", "x: {hosts: {y: }}", "no host in the group `balancer`", "15:17", "external"),
        ("{db: }", "{db: , db2: }", "2 hosts in the group `database`", "9:9", ""),
        ("  children:", "  hosts: {lone: }\n  children:", "host `lone` is in no group", "19:11", "`app`"),
        ("node[1:3]", "node[1:33]", "33 nodes", "7:16", "lower"),
        ("port: 13000", "instances: 11", "33 nodes", "7:16", ""),
        ("kind: shared, ", "", "how they share the app's files", "16:16", "acknowledge"),
        ("port: 13000", "worker_mode: '*'", "no node serves requests", "7:65", "leave"),
        ("{managed: true}", "{managed: true, lock: {host: cach}}", "no host `cach`", "14:43", "`cache`"),
        ("{managed: true}", "{managed: true, lock: 1}", "`pubsub` and `lock` share database 1", "14:36", "own number"),
        ("node[1:3]\": ", 'node[1:2]": , "node[3:3]": {nocobase: {cluster: x}}', "`cluster` of host `node3` differs", "", "all: vars:"),
    ],
)  # fmt: skip
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

    @pytest.mark.parametrize(
        ("sections", "check"),
        [
            ({"version": "2.2.15-full"}, lambda s: s.app_version == "2.2.15"),
            ({"version": "2.0.0-beta.12"}, lambda s: s.app_version == "2.0.0-beta.12"),
            ({"image": None}, lambda s: s.image_tag == "nocobase/nocobase:2.2.15"),
            ({"image": "ghcr.io/x/y_z"}, lambda s: s.image == "ghcr.io/x/y_z"),
            ({"runtime": {"cluster_mode": "max"}}, lambda s: s.runtime.cluster_mode == "max"),
            ({"runtime": {"cluster_mode": 4}}, lambda s: s.runtime.cluster_mode == 4),
            ({"runtime": {"worker_mode": "!"}}, lambda s: s.runtime.serves),
            ({"runtime": {"worker_mode": "!,a:process"}}, lambda s: s.runtime.serves),
            ({"runtime": {"kind": "pm2"}}, lambda s: s.runtime.kind == "pm2"),
            ({"runtime": {"address": "10.0.0.1"}}, lambda s: s.runtime.address == "10.0.0.1"),
            ({"runtime": None}, lambda s: s.runtime.port == 13000),
            (
                {"database": {"kind": "mariadb", "password": {"env": "A"}}},
                lambda s: s.database.port == 3306,
            ),
            (
                {"database": {"kind": "mysql", "port": 1, "password": {"env": "A"}}},
                lambda s: s.database.port == 1,
            ),
            (
                {"database": {"host": "db.x", "password": {"command": "pass show x"}}},
                lambda s: s.database.password.command == "pass show x",
            ),
            (
                {"database": {"password": {"command": ["pass", "show"]}}},
                lambda s: s.database.password.command == ("pass", "show"),
            ),
            ({"redis": {"cache": 9}}, lambda s: s.redis.cache.database == 9),
            ({"redis": {"cache": "redis://h/3"}}, lambda s: s.redis.cache.url == "redis://h/3"),
            ({"redis": {"cache": {"env": "U"}}}, lambda s: s.redis.cache.url.env == "U"),
            ({"redis": {"url": {"file": "u"}}}, lambda s: s.redis.url.file == "u"),
            ({"redis": {"url": "rediss://h:6380"}}, lambda s: s.redis.url == "rediss://h:6380"),
            ({"redis": {"url": "redis://user@h"}}, lambda s: s.redis.url == "redis://user@h"),
            ({"redis": {"lock": {"host": "cache", "database": 7}}}, lambda s: s.redis.lock.database == 7),
            ({"balancer": {"kind": "haproxy", "sticky": True}}, lambda s: s.balancer.sticky),
            ({"balancer": {"body_size": 0}}, lambda s: s.balancer.body_size == "0"),
            ({"balancer": {"body_size": "100m"}}, lambda s: s.balancer.body_size == "100m"),
            ({"balancer": {"tls": {"certificate": "c", "key": "k"}}}, lambda s: s.balancer.tls.key == "k"),
            ({"storage": {"kind": "object"}}, lambda s: s.storage.kind == "object"),
            ({"storage": {"acknowledge": True}}, lambda s: s.storage.kind is None),
            ({"plugins": {"append": ["a", "@x/b"]}}, lambda s: s.plugins.append == ("a", "@x/b")),
            ({"env": {"A": 1, "B": True, "C": 1.5}}, lambda s: s.env == {"A": "1", "B": "true", "C": "1.5"}),
            ({"env": {"A": None}}, lambda s: s.env == {}),
            ({"env": {"A": {"env": "X"}}}, lambda s: s.env["A"].env == "X"),
            ({"backup": {"verify": "restore", "keep": 3}}, lambda s: s.backup.keep == 3),
            ({"backup": {"copy_to": ["lb"]}}, lambda s: s.backup.copy_to == ("lb",)),
            ({"upgrade": {"on_failure": "ask", "min_nodes": 2}}, lambda s: s.upgrade.min_nodes == 2),
            ({"ssh": {"host_keys": "accept-new"}}, lambda s: s.ssh.host_keys == "accept-new"),
            ({"ssh": {"known_hosts": "kh"}}, lambda s: s.ssh.known_hosts == ("kh",)),
            ({"verify": None}, lambda s: s.verify.account is None),
        ],
    )  # fmt: skip
    def test_a_key_is_taken(
        self, load: Callable[..., ClusterSettings], sections: Any, check: Callable[[Any], bool]
    ) -> None:
        assert check(load(with_settings(**sections)).common)

    @pytest.mark.parametrize(
        ("sections", "message", "hint"),
        [
            ({"env": {"APP_KEY": "x"}}, "`APP_KEY` is set by nbops", "secrets.app_key"),
            ({"env": {"SKIP_SAME_VERSION_UPGRADE": "x"}}, "is set by nbops", "leave it out"),
            ({"env": {"a-b": "x"}}, "not the name of a variable", ""),
            ({"env": {"A": "a\nb"}}, "must be one line", ""),
            ({"env": {"A": ["x"]}}, "env.A", ""),
            ({"env": ["A"]}, "must be a mapping", ""),
            ({"backup": {"copy_to": ["lbb"]}}, "no host `lbb` in the inventory", "`lb`"),
            ({"backup": {"keep": 0}}, "must be at least 1", ""),
            ({"upgrade": {"min_nodes": 4}}, "there are 3 nodes", ""),
            ({"upgrade": {"on_failure": "rolback"}}, "is not one of", "`rollback`"),
            ({"plugins": {"append": "a"}}, "must be a list", ""),
            ({"plugins": {"append": ["a b"]}}, "is not the name of a plugin", ""),
            ({"ssh": {"host_keys": "no"}}, "is not one of strict, accept-new", ""),
            ({"ssh": {"keepalive": 0}}, "must be more than 0", ""),
            ({"redis": {"cache": {"url": "redis://h", "database": 1}}}, "`url` says", ""),
            ({"redis": {"cache": True}}, "redis.cache", ""),
            ({"redis": {"cache": -1}}, "must be at least 0", ""),
            ({"balancer": {"tls": {"certificate": "c"}}}, "`balancer.tls.key` is missing", ""),
            ({"cluster": None}, "`cluster` is missing", "cluster: main"),
            ({"version": None}, "`version` is missing", "2.2.15"),
            ({"secrets": None}, "`secrets` is missing", "nbops init"),
            ({"database": None}, "`database` is missing", "password"),
        ],
    )
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
