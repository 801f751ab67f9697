"""What a cluster goes through in its life, and what is true of it at each point."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.cluster import Cluster, ask, patiently

OLD, NEW = "2.2.15", "2.2.16"
_ACCOUNT = "admin@nocobase.com"
_FIELDS = [{"name": "text", "type": "string", "interface": "input"}]
# An nginx that nbops knows nothing of, and the commands that its owner has for it.
_OWN_BALANCER = """\
#!/bin/sh
set -eu
nodes=; for node in $NBOPS_NODES; do nodes="$nodes server $node;"; done
case $1 in
maintenance) upstream=; answer='add_header Retry-After 30 always; return 503;' ;;
*) upstream="upstream own {{ $nodes }}"; answer='proxy_pass http://own;' ;;
esac
echo "$1 $NBOPS_HOSTS" >> {log}
printf '%s\\nserver {{ listen 80 default_server; location / {{ %s }} }}\\n' "$upstream" "$answer" |
    {ssh} 'rm -f /etc/nginx/sites-enabled/default; cat > /etc/nginx/conf.d/own.conf
        nginx -t 2>&1; systemctl reload-or-restart nginx; sleep 1'
"""


@dataclass(frozen=True)
class Row:
    """One combination: options of `nbops lab up`, and what is edited in its inventory then."""

    name: str
    shape: str
    edits: tuple[Callable[[Life], None], ...] = ()
    app: str = "sample"


@dataclass
class Life:
    """A cluster of one combination. `options` are needed by every command."""

    cluster: Cluster
    row: Row
    inventory: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    reached: str = ""

    def begin(self) -> None:
        """Bring the machines up, and the inventory to what the row says."""
        words = (*shlex.split(self.row.shape), "--app", self.row.app)
        done = self.cluster.nbops("lab", "up", "--name", self.cluster.name, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        self.cluster.inventory = Path(done.stdout.strip().splitlines()[-1])
        self.inventory = yaml.safe_load(self.cluster.inventory.read_text())
        for edit in self.row.edits:
            edit(self)
        path = self.cluster.inventory.with_name("matrix.yml")
        path.write_text(yaml.safe_dump(self.inventory))
        self.cluster.inventory = path

    def come_to(self, point: str, *, after: str) -> None:
        """Note how far it has come. Raises when the point before was not reached."""
        assert self.reached == after, f"not reached: {after}"
        self.reached = point

    def run(self, command: str, *words: str, code: int = 0, inventory: Path | None = None) -> str:
        """What a command on this inventory says. Raises when it ends with another exit code."""
        where = str(inventory or self.cluster.inventory)
        done = self.cluster.nbops(command, where, *words, *self.options, "--plain")
        assert done.returncode == code, done.stdout[-6000:] + done.stderr[-2000:]
        assert self.cluster.password() not in done.stdout + done.stderr
        return done.stdout

    def traces(self, script: str) -> dict[str, str]:
        """What a script prints on each machine."""
        return {host: self.cluster.on(host, script) for host in self.all_hosts}

    @property
    def settings(self) -> Any:
        """The cluster's settings, to be edited."""
        return self.inventory["all"]["vars"]["nocobase"]

    def hosts(self, group: str) -> Any:
        """The hosts of a group, to be edited."""
        return self.inventory["all"]["children"][group]["hosts"]

    @property
    def all_hosts(self) -> dict[str, Any]:
        """Every host by its name."""
        groups = self.inventory["all"]["children"]
        return {name: one for group in groups.values() for name, one in group["hosts"].items()}

    @property
    def folder(self) -> Path:
        """Where the inventory is."""
        return self.cluster.inventory.parent

    @property
    def fronts(self) -> list[str]:
        """Where visitors reach the app: the public address, or each balancer."""
        balancer = self.settings["balancer"]
        if "address" in balancer:
            return [balancer["address"]]
        scheme = "https" if "tls" in balancer else "http"
        return [f"{scheme}://{one['ansible_host']}" for one in self.hosts("balancer").values()]

    def apps(self, *, background: bool = False) -> Iterator[str]:
        """The address of every app that is, or is not, for requests."""
        for host in self.hosts("app").values():
            runtime = self.settings["runtime"] | host.get("nocobase", {}).get("runtime", {})
            if ("worker_mode" in runtime) is background:
                ports = range(13000, 13000 + runtime.get("instances", 1))
                yield from (f"http://{host['ansible_host']}:{port}" for port in ports)

    def check_serves(self, version: str) -> None:
        """The version is everywhere, and a sign-in through each balancer is valid on each node."""
        for app in self.apps(background=True):
            assert ask(f"{app}/api/__health_check") == "ok"
        for front in self.fronts:
            assert ask(f"{front}/api/app:getInfo")["data"]["version"] == version
            token = self.token(front)
            for app in self.apps():
                assert ask(f"{app}/api/app:getInfo")["data"]["version"] == version
                user = ask(f"{app}/api/auth:check", token=token)
                assert user["data"]["email"] == _ACCOUNT

    def token(self, front: str) -> str:
        """Sign in as a visitor."""
        account = {"account": _ACCOUNT, "password": self.cluster.password()}
        return str(ask(f"{front}/api/auth:signIn", data=account)["data"]["token"])

    def write(self, text: str) -> None:
        """Have something written through the app, in a table of its own."""
        front = self.fronts[0]
        token = self.token(front)
        if self.row.app == "sample":
            ask(f"{front}/api/notes", token=token, data={"text": text})
            return
        if not self.reached:
            told = {"name": "marks", "title": "Marks", "fields": _FIELDS, "template": "general"}
            ask(f"{front}/api/collections:create", token=token, data=told)
        patiently(lambda: ask(f"{front}/api/marks:create", token=token, data={"text": text}))

    def written(self) -> set[str]:
        """What is there of it."""
        front = self.fronts[-1]
        table = "notes" if self.row.app == "sample" else "marks:list"
        rows = ask(f"{front}/api/{table}", token=self.token(front))["data"]
        return {row.get("text") or row["title"] for row in rows}


def changes(recap: str) -> set[str]:
    """The numbers of changes in a recap."""
    return set(re.findall(r"changed=(\d+)", recap))


def in_each(group: str, **settings: Any) -> Callable[[Life], None]:
    """An edit: settings of the whole cluster."""
    return lambda life: life.settings.setdefault(group, {}).update(settings)


def on_host(name: str, **runtime: Any) -> Callable[[Life], None]:
    """An edit: how one host runs the app."""

    def edit(life: Life) -> None:
        own = life.hosts("app")[name].setdefault("nocobase", {})
        own["runtime"] = own.get("runtime", {}) | runtime

    return edit


def tls(life: Life) -> None:
    """An edit: a certificate for the addresses of the balancers."""
    names = [f"IP:{one['ansible_host']}" for one in life.hosts("balancer").values()]
    line = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=app.example"
        f" -addext subjectAltName={','.join(names)} -keyout tls.key -out tls.pem"
    )
    subprocess.run(shlex.split(line), cwd=life.folder, check=True, capture_output=True)
    (life.folder / "tls.key").chmod(0o600)
    life.settings["balancer"]["tls"] = {"certificate": "tls.pem", "key": "tls.key"}


def other_logins(life: Life) -> None:
    """An edit: sudo without a password here, with one there, and a node behind a jump host."""
    password = (life.folder / "secrets" / "sudo_password").read_text().strip()
    life.options = ("-e", f"sudo_password={password}")
    for host in life.all_hosts.values():
        host["ansible_user"] = "ops"
    for name in ("node2", "db"):
        life.all_hosts[name]["ansible_user"] = "duty"
        life.all_hosts[name]["ansible_become_password"] = "{{ sudo_password }}"
    jump = life.hosts("balancer")["lb"]["ansible_host"]
    options = life.inventory["all"]["vars"]["ansible_ssh_common_args"]
    life.all_hosts["node1"]["ansible_ssh_common_args"] = f"{options} -o ProxyJump=ops@{jump}"
    config = life.cluster.home / ".ssh" / "config"
    config.parent.mkdir(mode=0o700)
    config.write_text(
        f"Host {jump}\n    IdentityFile {life.folder}/key\n"
        f"    UserKnownHostsFile {life.folder}/known_hosts\n"
    )
    config.chmod(0o600)


def own_balancer(life: Life) -> None:
    """An edit: the balancer is the user's own, and nbops has its commands."""
    folder = life.folder
    address = life.hosts("balancer")["lb"]["ansible_host"]
    ssh = f"ssh -i {folder}/key -o UserKnownHostsFile={folder}/known_hosts root@{address}"
    script = folder / "balancer.sh"
    script.write_text(_OWN_BALANCER.format(ssh=ssh, log=folder / "balancer.log"))
    script.chmod(0o755)
    words = {name: f"./balancer.sh {name}" for name in ("drain", "maintenance", "traffic")}
    del words["drain"]
    life.settings["balancer"] = {
        "kind": "external",
        "address": f"http://{address}",
        "commands": words,
    }
    del life.inventory["all"]["children"]["balancer"]
