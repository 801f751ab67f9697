"""Images unpacked and run as containers would be, and real databases to run them on.

A container here is an overlay of the image's layers in a mount and process namespace of
its own: it goes away, with its mounts, when the process that holds it does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nbops.base.events import Event
from nbops.lab import base
from nbops.lab.images import RegistryStorage, ensure
from nbops.lab.images.storage import blob_path
from nbops.lab.shell import tied
from nbops.lab.state import CACHE

ROOT_ACCOUNT = {"account": "admin@nocobase.com", "password": "admin123"}

IN_ROOT = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "/usr/sbin/chroot", ".")

_RUN = """\
set -eu
mount -t tmpfs tmpfs "$PLACE"
mkdir "$PLACE/upper" "$PLACE/work" "$PLACE/root"
mount -t overlay overlay "$PLACE/root" \\
    -o "lowerdir=$LOWER,upperdir=$PLACE/upper,workdir=$PLACE/work"
mkdir -p "$PLACE/root/proc" "$PLACE/root/dev" "$PLACE/root$SHARED"
mount -t proc proc "$PLACE/root/proc"
mount --rbind /dev "$PLACE/root/dev"
if [ -n "$STORAGE" ]; then mount --bind "$STORAGE" "$PLACE/root$SHARED"; fi
cd "$PLACE/root"
exec env -i "$@"
"""


@dataclass
class Contained:
    """A process that runs as the first one of a container."""

    holder: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The first process inside, as the box numbers it; waits until it is there."""
        until = time.monotonic() + 10
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        while time.monotonic() < until:
            if found := children.read_text().split():
                return int(found[0])
            time.sleep(0.02)
        raise AssertionError(f"nothing was started:\n{self.said()}")

    def stop(self, deadline: float = 15) -> int:
        """SIGTERM, as `docker stop` sends; the exit status."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait(deadline)

    def wait(self, deadline: float) -> int:
        """The exit status, once it has ended by itself."""
        return self.holder.wait(deadline)

    def remove(self) -> None:
        """End it, however it stands."""
        self.holder.kill()
        self.holder.wait(10)

    def said(self) -> str:
        """All of its standard output and errors."""
        return self.log.read_text(errors="replace")

    def runs(self, *argv: str) -> str:
        """What a program in the container prints."""
        inside = ["chroot", f"/proc/{self.pid}/root", *argv]
        return subprocess.run(
            inside, capture_output=True, text=True, timeout=30, check=True
        ).stdout.strip()


@dataclass
class Boxes:
    """Starts containers and removes them all at the end."""

    folder: Path
    running: list[Contained] = field(default_factory=list)

    def start(
        self, layers: Sequence[Path], command: Sequence[str], storage: Path | None = None
    ) -> Contained:
        number = len(self.running)
        place = self.folder / f"place{number}"
        place.mkdir()
        log = self.folder / f"log{number}"
        known = {
            **os.environ,
            "PLACE": str(place),
            "LOWER": ":".join(str(layer) for layer in layers),
            "SHARED": "/app/nocobase/storage",
            "STORAGE": str(storage or ""),
        }
        with log.open("wb") as sink:
            holder = subprocess.Popen(
                tied(["sh", "-c", _RUN, "sh", *command]), env=known, stdout=sink, stderr=sink
            )
        self.running.append(Contained(holder, log))
        return self.running[-1]

    def remove(self) -> None:
        for box in self.running:
            box.remove()


@dataclass(frozen=True)
class Database:
    """A real server in a container, and how the app reaches one database of it."""

    server: Contained
    env: Mapping[str, str]
    client: Sequence[str]

    def query(self, sql: str) -> list[str]:
        """The rows of a query, columns joined by `|`."""
        out = self.server.runs(*self.client, sql)
        return [line.replace("\t", "|") for line in out.splitlines()]


@dataclass
class Node:
    """The app in a container, reached on its port."""

    box: Contained
    port: int

    def get(self, path: str, token: str = "") -> tuple[int, Any]:
        return self._ask(urllib.request.Request(self._url(path)), token)  # noqa: S310  own port

    def post(self, path: str, content: object, token: str = "") -> tuple[int, Any]:
        body = json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url(path), body, headers)  # noqa: S310  own port
        return self._ask(request, token)

    def sign_in(self) -> str:
        status, told = self.post("/api/auth:signIn", ROOT_ACCOUNT)
        assert status == 200, told
        return str(told["data"]["token"])

    def version(self) -> str:
        return str(self.get("/api/app:getInfo")[1]["data"]["version"])

    def until(self, code: str, deadline: float = 20) -> list[str]:
        """Wait for a state; all states and messages seen on the way, in order.

        States are the codes of the health answer, `ok`, and `refused`.
        """
        seen: list[str] = []
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            now, message = self._state()
            for word in (now, message):
                if word and word not in seen:
                    seen.append(word)
            if now == code:
                return seen
            time.sleep(0.02)
        raise AssertionError(f"{code} not seen, but {seen}\n{self.box.said()}")

    def _state(self) -> tuple[str, str]:
        try:
            status, told = self.get("/api/__health_check")
        except OSError:
            return "refused", ""
        if status == 200:
            return str(told), ""
        return str(told["error"]["code"]), str(told["error"]["message"])

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _ask(self, request: urllib.request.Request, token: str) -> tuple[int, Any]:
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  own port
                return answer.status, _told(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _told(error.read())


def _told(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unpack(storage: RegistryStorage, tag: str, into: Path) -> tuple[list[Path], dict[str, Any]]:
    """The layers of an image, unpacked, the top one first; and its configuration."""
    manifest = json.loads((storage.folder / blob_path(storage.digests[tag])).read_bytes())
    config = json.loads((storage.folder / blob_path(manifest["config"]["digest"])).read_bytes())
    layers = []
    for layer in manifest["layers"]:
        target = into / layer["digest"].partition(":")[2][:12]
        if not target.exists():
            target.mkdir()
            file = storage.folder / blob_path(layer["digest"])
            subprocess.run(
                ["tar", "--use-compress-program=zstd", "-xf", file, "-C", target], check=True
            )
        layers.insert(0, target)
    return layers, config["config"]


@dataclass(frozen=True)
class App:
    """Images of an app in two versions, ready to be started."""

    boxes: Boxes
    images: Mapping[str, tuple[list[Path], dict[str, Any]]]

    def start(
        self, version: str, database: Database, *, storage: Path | None = None, **env: str
    ) -> Node:
        layers, config = self.images[version]
        port = int(env.setdefault("APP_PORT", str(free_port())))
        settings = {"APP_KEY": "one-key", "HOME": "/root", **database.env, **env}
        command = [
            *config["Env"],
            *(f"{name}={value}" for name, value in settings.items()),
            *("/usr/sbin/chroot", ".", *config["Cmd"]),
        ]
        return Node(self.boxes.start(layers, command, storage), port)


def app_of(name: str, boxes: Boxes, folder: Path) -> App:
    def ignore(event: Event) -> None:
        assert event.time

    storage = ensure(name, ["2.2.15", "2.2.16"], CACHE, ignore)
    return App(boxes, {tag: unpack(storage, tag, folder) for tag in storage.tags})


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where images are unpacked, for as long as tests run."""
    folder = tmp_path_factory.mktemp("unpacked")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxes]:
    """Containers that live as long as the tests do."""
    boxes = Boxes(tmp_path_factory.mktemp("servers"))
    yield boxes
    boxes.remove()


@pytest.fixture
def boxes(tmp_path: Path) -> Iterator[Boxes]:
    """Containers of one test."""
    made = Boxes(tmp_path)
    yield made
    made.remove()


@pytest.fixture(scope="session")
def machines_tree() -> Path:
    """The tree of the rehearsal machines, which holds the servers."""

    def ignore(event: Event) -> None:
        assert event.time

    return base.ensure(CACHE, ignore)


@pytest.fixture(scope="session")
def postgres(servers: Boxes, machines_tree: Path) -> Iterator[Callable[[str], Database]]:
    """Makes databases on one PostgreSQL server."""
    port = free_port()
    script = f"""\
export PATH=/usr/lib/postgresql/17/bin:$PATH LC_ALL=C.UTF-8
initdb -D /tmp/pg -A trust -E UTF8 >&2
exec postgres -D /tmp/pg -k /tmp -p {port} -c listen_addresses=127.0.0.1 -c fsync=off"""
    user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
    server = servers.start([machines_tree], [*IN_ROOT, *user, "sh", "-c", script])
    client = ["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-qAtc"]
    until_it_answers(server, [*client, "SELECT 1"])

    def make(name: str) -> Database:
        server.runs(*client, f"CREATE DATABASE {name}")
        env = _database_env("postgres", port, name, "postgres")
        return Database(server, env, ["psql", "-d", name, *client[1:]])

    yield make
    server.remove()


@pytest.fixture(scope="session")
def mariadb(servers: Boxes, machines_tree: Path) -> Iterator[Callable[[str], Database]]:
    """Makes databases on one MariaDB server."""
    port = free_port()
    script = f"""\
mariadb-install-db --no-defaults --user=mysql --datadir=/tmp/db --skip-test-db \\
    --auth-root-authentication-method=normal >&2
exec mariadbd --no-defaults --user=mysql --datadir=/tmp/db --socket=/tmp/db.sock \\
    --bind-address=127.0.0.1 --port={port}"""
    server = servers.start([machines_tree], [*IN_ROOT, "sh", "-c", script])
    client = ["mariadb", "-h", "127.0.0.1", "-P", str(port), "-u", "root", "-BN"]
    until_it_answers(server, [*client, "-e", "SELECT 1"])

    def make(name: str) -> Database:
        server.runs(*client, "-e", f"CREATE DATABASE {name}")
        return Database(server, _database_env("mariadb", port, name, "root"), [*client, name, "-e"])

    yield make
    server.remove()


def _database_env(dialect: str, port: int, name: str, user: str) -> dict[str, str]:
    return {
        "DB_DIALECT": dialect,
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(port),
        "DB_DATABASE": name,
        "DB_USER": user,
        "DB_PASSWORD": "",
    }


def until_it_answers(server: Contained, question: Sequence[str]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            server.runs(*question)
        except subprocess.CalledProcessError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the database server does not answer:\n{server.said()}")
