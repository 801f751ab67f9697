"""Deploys that need real machines and not the real app: the sample app stands in for it."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from tests.deploy.cluster import NBOPS, Cluster, ask

pytestmark = pytest.mark.lab

NODES = ("node1", "node2", "node3")


def test_a_login_without_sudo_is_refused_before_anything_is_done(sample: Cluster) -> None:
    data = yaml.safe_load(sample.inventory.read_text())
    for host in ("node1", "node2"):
        data["all"]["children"]["app"]["hosts"][host]["ansible_user"] = "guest"
    other = sample.inventory.with_name("guest.yml")
    other.write_text(yaml.safe_dump(data))
    done = sample.nbops("deploy", str(other))
    assert done.returncode == 4, done.stdout + done.stderr
    assert "node1: sudo to root was refused" in done.stderr
    assert "node2: sudo to root was refused" in done.stderr
    assert "TASK" not in done.stdout
    assert "held" not in sample.on("node3", "cat /var/lib/nbops/*/lock 2>/dev/null; true")


def test_other_logins_than_root_and_a_jump_host_will_do(sample: Cluster) -> None:
    data = yaml.safe_load(sample.inventory.read_text())
    hosts = {
        name: host
        for group in data["all"]["children"].values()
        for name, host in group["hosts"].items()
    }
    for name in ("node1", "db"):
        hosts[name]["ansible_user"] = "ops"
    hosts["node2"]["ansible_user"] = "duty"
    hosts["node2"]["ansible_become_password"] = "{{ sudo_password }}"
    password = (sample.inventory.parent / "secrets" / "sudo_password").read_text().strip()
    known = ("-e", f"sudo_password={password}")
    options = data["all"]["vars"]["ansible_ssh_common_args"]
    # As with ssh, options of the host are none of its jump host's.
    config = sample.home / ".ssh" / "config"
    config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.write_text(
        f"Host {hosts['lb']['ansible_host']}\n"
        f"    IdentityFile {sample.inventory.parent}/key\n"
        f"    UserKnownHostsFile {sample.inventory.parent}/known_hosts\n"
    )
    config.chmod(0o600)
    jump = f"{options} -o ProxyJump=ops@{hosts['lb']['ansible_host']}"
    hosts["node3"]["ansible_ssh_common_args"] = jump
    other = sample.inventory.with_name("logins.yml")
    other.write_text(yaml.safe_dump(data))
    done = sample.nbops("deploy", str(other), *known)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = sample.nbops(
        "exec", "-i", str(other), *known, "app", "--", "echo $SSH_CONNECTION; id -un"
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert hosts["lb"]["ansible_host"] in shown.stdout
    assert {"ops", "duty"} <= set(shown.stdout.split())


def test_the_cluster_serves_and_a_second_deploy_changes_nothing(sample: Cluster) -> None:
    done = sample.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    again = sample.deploy()
    assert again.returncode == 0, again.stdout + again.stderr
    assert set(re.findall(r"changed=(\d+)", again.stdout)) == {"0"}
    assert ask(f"http://{sample.address('lb')}/api/__health_check") == "ok"


def test_check_says_what_would_change_and_leaves_nothing_behind(sample: Cluster) -> None:
    assert sample.deploy().returncode == 0
    list_files = "find /opt /etc /var/lib/nbops /root -newer /tmp/mark -type f | sort"
    for node in NODES:
        sample.on(node, "touch /tmp/mark")
    other = sample.edited("env.yml", "all", "vars", "nocobase", "env", value={"EXTRA": "1"})
    done = sample.nbops("deploy", str(other), "--check", "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "EXTRA" in done.stdout
    for node in NODES:
        assert sample.on(node, list_files) == ""
        assert "run-" not in sample.on(node, "ls -a /root/.nbops 2>/dev/null; true")


def test_two_deploys_at_once_do_not_meet(sample: Cluster) -> None:
    assert sample.deploy().returncode == 0
    command = [NBOPS, "deploy", str(sample.inventory)]
    env = {"HOME": str(sample.home), "PATH": "/usr/bin:/bin"}
    both = [
        subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 5], said
    loser = next(err for process, (_, err) in zip(both, said, strict=True) if process.returncode)
    assert "is locked by `deploy`" in loser


def test_the_balancer_serves_when_a_node_is_gone(sample: Cluster) -> None:
    assert sample.deploy().returncode == 0
    sample.on("node2", "docker stop $(docker ps -q)")
    for _ in range(12):
        assert ask(f"http://{sample.address('lb')}/api/__health_check") == "ok"
    done = sample.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    assert ask(f"http://{sample.address('node2')}:13000/api/__health_check") == "ok"
