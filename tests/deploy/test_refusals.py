"""What cannot be done is said at once, for all hosts together, and nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.deploy.cluster import Cluster, new_cluster
from tests.sshd import SshServer, loopback, make_key

pytestmark = pytest.mark.sshd

SETTINGS = {
    "cluster": "c",
    "version": "2.2.15",
    "image": "registry.example:5000/nocobase",
    "database": {"managed": True, "password": {"file": "pw"}},
    "redis": {"managed": True},
    "balancer": {"kind": "nginx"},
    "storage": {"kind": "shared", "path": "/srv/s"},
    "secrets": {"app_key": {"file": "pw"}, "aes_key": {"file": "aes"}},
    "verify": {"account": {"email": "a@b.example", "password": {"file": "pw"}}},
}


@pytest.fixture
def here(tmp_path: Path) -> Cluster:
    for name, text in {"pw": "a-long-secret-value", "aes": "ab" * 32}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    cluster = new_cluster(tmp_path)
    cluster.inventory = tmp_path / "inventory.yml"
    return cluster


def write(here: Cluster, hosts: dict[str, dict[str, object]]) -> None:
    names = list(hosts)
    groups = {
        "app": {"hosts": {name: hosts[name] for name in names[:-1]}},
        "balancer": {"hosts": {names[-1]: hosts[names[-1]]}},
        "database": {"hosts": {names[-1]: None}},
        "redis": {"hosts": {names[-1]: None}},
    }
    data = {"all": {"children": groups, "vars": {"nocobase": SETTINGS}}}
    here.inventory.write_text(yaml.safe_dump(data))


def test_every_host_that_cannot_be_used_is_named_at_once(here: Cluster, tmp_path: Path) -> None:
    with SshServer(tmp_path / "sshd", addresses=loopback(4, net=8)) as server:
        good = {
            "ansible_port": server.port,
            "ansible_user": server.user,
            "ansible_ssh_private_key_file": str(server.user_key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={server.known_hosts}",
        }
        strange = tmp_path / "strange_hosts"
        strange.write_text("")
        write(
            here,
            {
                "fine": good | {"ansible_host": server.addresses[0]},
                "silent": good | {"ansible_host": "127.98.0.1"},
                "no-key": good
                | {
                    "ansible_host": server.addresses[1],
                    "ansible_ssh_private_key_file": str(make_key(tmp_path / "other_key")),
                },
                "strange": good
                | {
                    "ansible_host": server.addresses[2],
                    "ansible_ssh_common_args": f"-o UserKnownHostsFile={strange}",
                },
                "last": good | {"ansible_host": server.addresses[3]},
            },
        )
        done = here.deploy()
    assert done.returncode == 4, done.stdout + done.stderr
    for name in ("silent", "no-key", "strange"):
        assert name in done.stderr
    assert "ssh-keyscan" in done.stderr
    assert "fine:" not in done.stderr
    assert "TASK" not in done.stdout
