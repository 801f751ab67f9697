"""A lab and the command line as its user has them: another computer's empty home, one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

NBOPS = str(Path(sys.executable).parent / "nbops")
DEADLINE = 1200


@dataclass
class Cluster:
    """A rehearsal cluster by its name, and where its user stands."""

    name: str
    home: Path
    inventory: Path = Path()

    def up(self, *, app: str, nodes: int = 3, balancers: int = 1) -> None:
        """Bring the machines up; the last line says where the inventory is."""
        sizes = ("--nodes", str(nodes), "--balancers", str(balancers))
        done = self.nbops("lab", "up", "--name", self.name, "--app", app, *sizes)
        assert done.returncode == 0, done.stdout + done.stderr
        self.inventory = Path(done.stdout.strip().splitlines()[-1])

    def down(self) -> None:
        """Remove the machines and all that belongs to them."""
        done = self.nbops("lab", "down", "--name", self.name)
        assert done.returncode == 0, done.stdout + done.stderr

    def nbops(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the user does, from an empty home."""
        self.home.mkdir(exist_ok=True)
        return subprocess.run(
            [NBOPS, *arguments],
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def deploy(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Deploy what the inventory says."""
        return self.nbops("deploy", str(self.inventory), *options)

    def on(self, host: str, command: str) -> str:
        """What a command prints on a machine. Raises when it fails."""
        done = self.nbops("lab", "ssh", host, "--name", self.name, "--", command)
        assert done.returncode == 0, f"{host}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def edited(self, file: str, *keys: str, value: Any) -> Path:
        """A copy of the inventory beside it in which one value is another one."""
        data = yaml.safe_load(self.inventory.read_text())
        place = data
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        copy = self.inventory.with_name(file)
        copy.write_text(yaml.safe_dump(data))
        return copy

    def address(self, host: str) -> str:
        """The address of a host in the inventory."""
        groups = yaml.safe_load(self.inventory.read_text())["all"]["children"]
        hosts = {name: one for group in groups.values() for name, one in group["hosts"].items()}
        return str(hosts[host]["ansible_host"])

    def password(self) -> str:
        """The password of the app's first account."""
        return (self.inventory.parent / "secrets" / "root_password").read_text().strip()


def new_cluster(folder: Path) -> Cluster:
    """A cluster of a name that nobody else has; nothing is started yet."""
    return Cluster(f"t-{uuid.uuid4().hex[:8]}", folder / "home")


def patiently(look: Callable[[], object]) -> None:
    """Look again until it works: a message takes a second to all nodes."""
    until = time.monotonic() + 30
    while True:
        try:
            look()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.3)
        else:
            return


def ask(url: str, *, token: str = "", data: Any = None, status: int = 200) -> Any:
    """What an address answers, as data. Raises when the status is another one."""
    headers = {"Content-Type": "application/json", "X-Authenticator": "basic"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - http only
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        assert answer.status == status
        text = answer.read().decode()
    return json.loads(text) if text.startswith("{") else text
