"""A secret given in every place where one can stand is looked for wherever it could have gone.

What is promised is in SECURITY.md: secrets are in the app's environment files, in the releases
beside them (0600), in the settings of the servers that nbops runs, and in what Docker keeps of a
container; nowhere else.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.cluster import NBOPS, Cluster, new_cluster
from tests.security.sentinels import Sentinel, Sentinels, hex_sentinel, sentinel

pytestmark = [pytest.mark.lab, pytest.mark.series]

HOSTS = ("node1", "node2", "db", "cache", "lb")
DEADLINE = 400
# Where a secret may lie on a host, and how many may read it there.
OURS = re.compile(
    r"-rw-------.* /opt/nocobase/(first|node)\.env$"
    r"|-rw-------.* /var/lib/nbops/[^/]+/releases/(\d+|pending)\.json$"
    r"|-rw-r-----.* redis redis .* /etc/redis/nbops\.conf$"
)
DOCKERS = re.compile(
    r" (/var/lib/docker/containers/\w+/config\.v2\.json"
    r"|/var/lib/containerd/io\.containerd\.metadata\.v1\.bolt/meta\.db"
    r"|/run/containerd/io\.containerd\.runtime\.v2\.task/moby/\w+/config\.json)$"
)
# Every list of arguments that was seen, thirty times a second, one a line.
SAMPLER = r"""
$| = 1; $SIG{TERM} = sub { print "$rounds rounds\n", map { "$_\n" } keys %seen; exit };
while (1) {
    $rounds++;
    for my $file (glob "/proc/[0-9]*/cmdline") {
        open my $in, "<", $file or next; local $/; my $line = <$in>;
        next unless defined $line; $line =~ tr/\0\n/  /; $seen{$line} = 1;
    }
    select undef, undef, undef, 0.03;
}
"""
FIND = r"""
for at in / $(awk '$3 !~ /^(proc|sysfs|cgroup2?|devpts|mqueue|nsfs)$/ {print $2}' /proc/mounts); do
    find "$at" -xdev \( -path /usr -o -path /var/cache -o -path /proc -o -path /sys \) -prune \
        -o -type f ! -path /run/patterns -size -64M -print0 2>/dev/null
done | sort -zu | xargs -0 grep -l -a -s -F -f /run/patterns | xargs -r ls -l
rm -f /run/patterns
"""


@dataclass
class Given:
    """A cluster, the secrets that its inventory leads to, and all that nbops said."""

    cluster: Cluster
    secrets: Sentinels
    environment: dict[str, str] = field(default_factory=dict)

    def nbops(self, *arguments: str, terminal: bool = False) -> str:
        """Run a command; gives everything that it wrote. Raises when it failed."""
        command = [NBOPS, *arguments]
        if terminal:
            return _on_a_terminal(command, self.cluster.home, self.environment)
        done = subprocess.run(
            command,
            cwd=self.cluster.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    def on(self, host: str, command: str, stdin: str = "") -> str:
        """What a command prints on a machine."""
        done = subprocess.run(
            [NBOPS, "lab", "ssh", host, "--name", self.cluster.name, "--", command],
            env={"HOME": str(self.cluster.home), "PATH": os.environ["PATH"]},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return done.stdout


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Given]:
    """Two nodes, every secret new, a login that needs the passphrase of its key and a password
    for sudo."""
    cluster = new_cluster(tmp_path_factory.mktemp("secrets"))
    try:
        cluster.up(app="sample", nodes=2)
        yield _prepared(cluster)
    finally:
        cluster.down()


@pytest.fixture(scope="module")
def said(given: Given) -> dict[str, str]:
    """All that was written by a deploy and by what looks at it afterwards, by command; and every
    list of arguments that was seen on the hosts meanwhile."""
    where = str(given.cluster.inventory)
    samplers = [_Sampler(given, host) for host in HOSTS]
    token = given.secrets.add(sentinel("extra_token"))
    become = given.environment["SUDO_PASSWORD"]
    secret_vars = ("-e", f"api_token={token}", "-e", f"ansible_become_password={become}")
    outputs = {
        "check": given.nbops("deploy", where, "--check", "--diff", "-vv", *secret_vars),
        "deploy": given.nbops("deploy", where, "--diff", "-vv", *secret_vars),
    }
    outputs |= {
        "json": given.nbops("deploy", where, "--diff", "--json"),
        "terminal": given.nbops("restart", where, "-vv", terminal=True),
        "environment": given.nbops(
            "exec", "app", "-i", where, "--", "cat /opt/nocobase/node.env | tee /dev/stderr"
        ),
        "container": given.nbops(
            "exec", "app", "-i", where, "--json", "--", "docker inspect $(docker ps -q)"
        ),
    }
    for sampler in samplers:
        outputs[f"processes of {sampler.host}"] = sampler.stop()
    return outputs


def test_no_secret_is_in_any_output(given: Given, said: dict[str, str]) -> None:
    outputs = {name: text for name, text in said.items() if not name.startswith("processes")}
    assert given.secrets.named(outputs) == {}
    assert "SMTP_PASSWORD=" in said["environment"]


def test_no_secret_is_in_a_list_of_arguments_on_a_host(given: Given, said: dict[str, str]) -> None:
    seen = {name: text for name, text in said.items() if name.startswith("processes")}
    assert len(seen) == len(HOSTS)
    assert all(int(text.split(maxsplit=1)[0]) > 20 for text in seen.values())
    assert "docker" in seen["processes of node1"]
    assert given.secrets.named(seen) == {}


@pytest.mark.usefixtures("said")
def test_no_secret_is_in_the_journal_or_in_any_file_of_this_computer(given: Given) -> None:
    state = given.cluster.home / ".local" / "state" / "nbops"
    files = [one for one in given.cluster.home.rglob("*") if one.is_file()]
    assert state / "journal.db" in files
    assert {one.name: oct(one.stat().st_mode & 0o77) for one in files if state in one.parents} == {
        one.name: "0o0" for one in files if state in one.parents
    }
    held = {str(one): one.read_bytes().decode("latin-1") for one in files}
    assert given.secrets.named(held) == {}
    with closing(sqlite3.connect(state / "journal.db")) as database:
        plans = [json.loads(one) for (one,) in database.execute("SELECT plan FROM runs")]
    assert any("api_token" in plan["extra"] for plan in plans)


@pytest.mark.usefixtures("said")
def test_on_hosts_secrets_are_only_where_they_must_be(given: Given) -> None:
    wrong: dict[str, list[str]] = {}
    for host in HOSTS:
        given.on(host, "umask 077; cat >/run/patterns", given.secrets.patterns())
        found = given.on(host, FIND).splitlines()
        assert any(OURS.search(one) for one in found), f"{host}: nothing was found at all"
        bad = [one for one in found if not OURS.search(one) and not DOCKERS.search(one)]
        if bad:
            wrong[host] = bad
    assert wrong == {}


@pytest.mark.usefixtures("said")
def test_nothing_of_a_run_is_left_on_the_hosts(given: Given) -> None:
    left = "ls -d /root/.nbops/run-* /home/*/.nbops/run-* /var/tmp/.nbops-*/run-* 2>/dev/null"
    assert {host: given.on(host, left) for host in HOSTS} == dict.fromkeys(HOSTS, "")


def _prepared(cluster: Cluster) -> Given:
    secrets, folder = Sentinels(), cluster.inventory.parent
    data = yaml.safe_load(cluster.inventory.read_text())
    variables = data["all"]["vars"]
    _give(variables, secrets, folder / "secrets")
    passphrase = secrets.add(sentinel("passphrase"))
    locked = folder / "locked_key"
    shutil.copy(variables["ansible_ssh_private_key_file"], locked)
    locked.chmod(0o600)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-N", passphrase, "-f", str(locked)],
        check=True,
        capture_output=True,
    )
    sudo = (folder / "secrets" / "sudo_password").read_text().strip()
    secrets.add(Sentinel("sudo_password", sudo, awkward=False))
    variables |= {
        "ansible_ssh_private_key_file": str(locked),
        "ansible_password": "{{ lookup('env', 'PASSPHRASE') }}",
        "ansible_user": "duty",
        "ansible_become": True,
        "ansible_become_password": "{{ lookup('env', 'SUDO_PASSWORD') }}",
    }
    cluster.inventory = folder / "secret.yml"
    cluster.inventory.write_text(yaml.safe_dump(data))
    environment = {
        "HOME": str(cluster.home),
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "PASSPHRASE": passphrase,
        "SUDO_PASSWORD": sudo,
        "FROM_ENV": secrets.add(sentinel("from_env")),
    }
    return Given(cluster, secrets, environment)


def _give(variables: dict[str, Any], secrets: Sentinels, folder: Path) -> None:
    """A new secret in every place of the settings that takes one."""

    def put(one: Sentinel) -> dict[str, str]:
        file = folder / f"sentinel_{one.name}"
        file.touch(mode=0o600)
        file.write_text(secrets.add(one))
        return {"file": str(file)}

    settings = variables["nocobase"]
    settings["database"]["password"] = put(sentinel("db_password"))
    settings["redis"]["password"] = put(sentinel("redis_password"))
    settings["secrets"] = {
        "app_key": put(sentinel("app_key")),
        "aes_key": put(hex_sentinel("aes_key")),
    }
    settings["verify"]["account"]["password"] = put(sentinel("admin_password"))
    settings["runtime"]["registry"] = {"username": "me", "password": put(sentinel("registry"))}
    settings["plugins"]["package_service"] = {"username": "me", "password": put(sentinel("pkg"))}
    printed = put(sentinel("from_command"))["file"]
    settings["env"] = {
        "SMTP_PASSWORD": put(sentinel("smtp_password")),
        "FROM_ENV": {"env": "FROM_ENV"},
        "FROM_COMMAND": {"command": ["cat", printed]},
    }


class _Sampler:
    """Notes what every process of a host is called with, for as long as it runs."""

    def __init__(self, given: Given, host: str) -> None:
        self.host = host
        self._given = given
        self._ended = "/run/sampled"
        script = f"perl -e '{SAMPLER}' >{self._ended} 2>&1 & echo $!"
        self._pid = given.on(host, f"umask 077; {script}").split()[0]

    def stop(self) -> str:
        """Everything that was seen, after the number of times that was looked."""
        stop = f"kill {self._pid}; sleep 1; cat {self._ended}; rm -f {self._ended}"
        return self._given.on(self.host, stop)


def _on_a_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a command writes to a terminal of 100 columns."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {"TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    pieces: list[bytes] = []
    end = time.monotonic() + DEADLINE
    guard = threading.Timer(DEADLINE, process.kill)
    guard.start()
    try:
        while time.monotonic() < end:
            if not select.select([ours], [], [], 1.0)[0]:
                continue
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:  # how Linux says that the other side is closed
                break
            if not piece:
                break
            pieces.append(piece)
        code = process.wait(30)
    finally:
        guard.cancel()
        os.close(ours)
    text = b"".join(pieces).decode("utf-8", "replace")
    assert code == 0, text[-4000:]
    return text
