"""Both balancers on real machines: nobody loses a request, and the 503 page is for everyone.

One lab; nginx stands where the lab has its balancer, HAProxy on another of its machines.
"""

from __future__ import annotations

import http.client
import json
import shlex
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.cluster import Cluster
from tests.deploy.load import visitors

pytestmark = pytest.mark.lab

PLAY = {"hosts": "balancer", "gather_facts": False, "any_errors_fatal": True, "become": True}


@dataclass
class Front:
    """A balancer: its machine, the inventory that names it."""

    cluster: Cluster
    kind: str
    host: str
    inventory: Path

    @property
    def address(self) -> str:
        return self.cluster.address(self.host)

    def with_settings(self, name: str, **settings: Any) -> Front:
        """The same machine with other settings of the balancer."""
        data = yaml.safe_load(self.inventory.read_text())
        data["all"]["vars"]["nocobase"]["balancer"] |= settings
        path = self.inventory.with_name(name)
        path.write_text(yaml.safe_dump(data))
        return Front(self.cluster, self.kind, self.host, path)

    def run(self, *tasks: dict[str, Any], code: int = 0, hosts: str = "balancer") -> str:
        """Run tasks on the balancer; what was said."""
        book = self.inventory.with_name(f"{self.kind}-tasks.yml")
        book.write_text(yaml.safe_dump([PLAY | {"hosts": hosts, "tasks": list(tasks)}]))
        return self.nbops("run", str(book), "-i", str(self.inventory), code=code)

    def maintenance(self, state: str, *, code: int = 0) -> str:
        return self.nbops("maintenance", state, str(self.inventory), code=code)

    def nbops(self, *words: str, code: int = 0) -> str:
        done = self.cluster.nbops(*words, "--plain", "-v")
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def on(self, line: str) -> str:
        return self.cluster.on(self.host, line)


@pytest.fixture(scope="module")
def fronts(sample: Cluster) -> Iterator[dict[str, Front]]:
    done = sample.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    data = yaml.safe_load(sample.inventory.read_text())
    data["all"]["vars"]["nocobase"]["balancer"] = {"kind": "haproxy"}
    data["all"]["children"]["balancer"] = {
        "hosts": {"cache": {"ansible_host": sample.address("cache")}}
    }
    path = sample.inventory.with_name("haproxy.yml")
    path.write_text(yaml.safe_dump(data))
    found = {
        "nginx": Front(sample, "nginx", "lb", sample.inventory),
        "haproxy": Front(sample, "haproxy", "cache", path),
    }
    found["haproxy"].run({"balancer_configure": None})
    yield found
    name = f"nbops-haproxy-{sample.name}"
    sample.on("cache", f"systemctl disable --now {name}; rm -f /etc/systemd/system/{name}.service")
    sample.on("cache", "rm -rf /etc/haproxy/nbops; systemctl daemon-reload")


@pytest.fixture(params=["nginx", "haproxy"])
def front(request: pytest.FixtureRequest, fronts: dict[str, Front]) -> Front:
    return fronts[request.param]


def test_the_second_time_nothing_is_different(front: Front) -> None:
    assert "nothing changed" in front.run({"balancer_configure": None})


def test_no_request_is_lost_while_nodes_come_and_go(front: Front) -> None:
    with visitors(front.address) as seen:
        time.sleep(1)
        front.run(
            {"balancer_drain": {"node": "node1"}},
            {"balancer_undrain": {"node": "node1"}},
            {"balancer_drain": {"node": "node2"}},
            {"balancer_configure": None},
        )
        time.sleep(1)
    assert seen.errors == []
    assert seen.statuses() == {200, 404}
    assert len(seen.answers) > 50


def test_a_drained_node_gets_nothing(front: Front) -> None:
    look = f"ss -Htn state established dst {front.cluster.address('node1')}:13000 | wc -l"
    front.run({"balancer_drain": {"node": "node1"}})
    with visitors(front.address) as seen:
        time.sleep(1.5)
        # HAProxy goes on asking for its health: that is one connection at most.
        assert int(front.on(look)) <= (1 if front.kind == "haproxy" else 0)
    assert seen.errors == []
    assert "node1" in front.run({"balancer_state": None, "register": "b"}, show("b.drained"))
    assert "the last node" in front.run(*drain_all(front), code=1)
    front.run({"balancer_configure": None})


def test_visitors_see_the_app_then_503_then_the_app(front: Front) -> None:
    with visitors(front.address) as seen:
        time.sleep(1)
        assert "side door" in front.maintenance("on")
        time.sleep(1)
        front.maintenance("off")
        time.sleep(1)
    assert seen.errors == []
    assert seen.statuses() == {200, 404, 503}
    assert seen.mixed() == []
    assert seen.answers[0].status != 503 != seen.answers[-1].status
    assert all(answer.retry for answer in seen.answers if answer.status == 503)
    assert seen.sockets["503"] > 0
    assert seen.sockets["101"] > 1


def test_everyone_gets_503_whatever_they_ask(front: Front) -> None:
    said = front.maintenance("on")
    try:
        check_pages(front)
        door = said.split("ssh -L ")[1].split(":")[0]
        health = f"curl -s -m 5 http://127.0.0.1:{door}/api/__health_check"
        assert front.on(health) == "ok"
        look = [{"balancer_configure": None}, {"balancer_state": None, "register": "b"}]
        assert '"maintenance": true' in front.run(*look, show("b"))
        assert "nothing changed" in front.maintenance("on")
    finally:
        front.maintenance("off")


def check_pages(front: Front) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"):
        status, headers, _ = ask(front, method, "/api/x", body=b"x" * 10)
        assert (status, headers["retry-after"]) == (503, "30"), method
        assert headers["x-nbops-maintenance"] == "on"
    for accepted, language in {
        "": "en",
        "zh-CN,zh;q=0.9,en;q=0.8": "zh",
        "fr,zh;q=0.5": "zh",
        "en-GB,zh;q=0.5": "en",
    }.items():
        _, headers, body = ask(front, "GET", "/admin", {"Accept-Language": accepted})
        assert headers["content-type"].startswith("text/html")
        assert f'lang="{language}"' in body
    for path, accept in (("/api/x", "*/*"), ("/x", "application/json")):
        _, headers, body = ask(front, "GET", path, {"Accept": accept})
        assert headers["content-type"] == "application/json"
        assert json.loads(body)["maintaining"] is True
        assert json.loads(body)["errors"][0]["message"]
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert ask(front, "GET", "/ws", upgrade | {"Sec-WebSocket-Key": "a" * 22 + "=="})[0] == 503
    large = "head -c 30000000 /dev/zero | curl -s -m 60 -o /dev/null -w '%{http_code}' -H Expect: "
    assert front.cluster.on("db", f"{large} --data-binary @- http://{front.address}/up") == "503"


def test_an_upload_under_way_is_waited_for(front: Front) -> None:
    with socket.create_connection((front.address, 80), 30) as upload:
        body = json.dumps({"account": "nobody@example.com", "password": "none"}).encode()
        head = f"POST /api/auth:signIn HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
        upload.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body[:9])
        time.sleep(0.5)
        said: list[str] = []
        switching = threading.Thread(target=lambda: said.append(front.maintenance("on")))
        switching.start()
        wait_until(lambda: ask(front, "GET", "/x")[0] == 503)
        time.sleep(1)
        assert switching.is_alive(), said
        upload.sendall(body[9:])
        assert upload.recv(100).startswith(b"HTTP/1.1 4")
        switching.join(60)
    assert "were cut" not in said[0]
    front.maintenance("off")


def test_nobody_is_let_in_to_nodes_that_do_not_answer(front: Front) -> None:
    front.maintenance("on")
    try:
        other = front.with_settings(f"{front.kind}-dead.yml")
        data = yaml.safe_load(other.inventory.read_text())
        data["all"]["vars"]["nocobase"]["runtime"]["port"] = 13999
        other.inventory.write_text(yaml.safe_dump(data))
        assert "no node serves" in other.maintenance("off", code=1)
        assert ask(front, "GET", "/")[0] == 503
    finally:
        front.maintenance("off")


def test_a_restart_of_the_server_keeps_the_page_up(front: Front) -> None:
    front.maintenance("on")
    unit = "nginx" if front.kind == "nginx" else f"nbops-haproxy-{front.cluster.name}"
    front.on(f"systemctl restart {unit}")
    wait_until(lambda: ask(front, "GET", "/")[0] == 503)
    front.maintenance("off")


def test_tls_with_the_users_certificate_and_page(front: Front) -> None:
    folder = front.inventory.parent
    (folder / "page.html").write_text("<p>our own $page {{ here }} \\ \"' %[x]</p>")
    make_pair(folder, "one")
    make_pair(folder, "two")
    tls = {"certificate": "one.pem", "key": "two.key"}
    wrong = front.with_settings(f"{front.kind}-tls.yml", tls=tls, maintenance_page="page.html")
    assert "not that of the certificate" in wrong.run({"balancer_configure": None}, code=1)
    tls["key"] = "one.key"
    secure = front.with_settings(f"{front.kind}-tls.yml", tls=tls, maintenance_page="page.html")
    try:
        assert "ends on" in secure.run({"balancer_configure": None})
        assert "nothing changed" in secure.run({"balancer_configure": None})
        status, headers, _ = ask(front, "POST", "/api/x?y=1")
        assert (status, headers["location"].split("/", 3)[3]) == (308, "api/x?y=1")
        assert ask(front, "GET", "/api/__health_check", tls=True)[0] == 200
        secure.maintenance("on")
        for encrypted in (True, False):
            status, _, body = ask(front, "GET", "/", tls=encrypted)
            assert (status, body) == (503, "<p>our own $page {{ here }} \\ \"' %[x]</p>")
        secure.maintenance("off")
        keys = front.on("find /etc/nginx/nbops /etc/haproxy/nbops -perm /077 -type f | xargs cat")
        assert "PRIVATE KEY" not in keys
    finally:
        front.run({"balancer_configure": None})


def test_what_the_server_refuses_is_put_back(front: Front) -> None:
    files = "cat /etc/nginx/conf.d/nbops-* /etc/haproxy/nbops/*/haproxy.cfg 2>/dev/null; true"
    before = front.on(files)
    data = yaml.safe_load(front.inventory.read_text())
    hosts = data["all"]["children"]["app"]["hosts"]
    hosts["node2"] |= {"nocobase": {"runtime": {"address": "no-such-host.invalid"}}}
    path = front.inventory.with_name(f"{front.kind}-broken.yml")
    path.write_text(yaml.safe_dump(data))
    broken = Front(front.cluster, front.kind, front.host, path)
    said = broken.run({"balancer_configure": None}, code=1)
    assert "which was put back" in said
    assert "no-such-host.invalid" in said
    assert front.on(files) == before
    assert ask(front, "GET", "/api/__health_check")[0] == 200


def test_a_port_of_another_program_is_not_shared(fronts: dict[str, Front]) -> None:
    front = fronts["haproxy"].with_settings("haproxy-port.yml", port=22)
    assert "was put back" in front.run({"balancer_configure": None}, code=1)
    assert ask(fronts["haproxy"], "GET", "/api/__health_check")[0] == 200


def test_the_users_own_commands(fronts: dict[str, Front]) -> None:
    nginx = fronts["nginx"]
    folder = nginx.inventory.parent
    flag = f"/etc/nginx/nbops/{nginx.cluster.name}/maintenance"
    reach = f"ssh -i {folder}/key -o UserKnownHostsFile={folder}/known_hosts root@{nginx.address}"
    (folder / "commands.log").unlink(missing_ok=True)
    script = folder / "commands.sh"
    script.write_text(
        f'#!/bin/sh\nset -e\necho "$1 $NBOPS_NODE|$NBOPS_NODES" >> {folder}/commands.log\n'
        f"case $1 in\nmaintenance) {reach} 'touch {flag}' ;;\ntraffic) {reach} 'rm -f {flag}' ;;\n"
        'drain) echo "no such node" >&2; exit 4 ;;\nesac\n'
    )
    script.chmod(0o755)
    words = {name: f"./commands.sh {name}" for name in ("drain", "maintenance", "traffic")}
    data = yaml.safe_load(nginx.inventory.read_text())
    data["all"]["vars"]["nocobase"]["balancer"] = {
        "kind": "external",
        "address": f"http://{nginx.address}",
        "commands": words,
    }
    del data["all"]["children"]["balancer"]
    path = folder / "external.yml"
    path.write_text(yaml.safe_dump(data))
    external = Front(nginx.cluster, "external", "lb", path)
    external.maintenance("on")
    assert ask(nginx, "GET", "/")[0] == 503
    external.maintenance("off")
    here = {"run_once": True, "delegate_to": "localhost", "become": False}
    said = external.run({"balancer_drain": {"node": "node1"}} | here, hosts="app", code=1)
    assert "ended with status 4" in said
    assert "no such node" in said
    log = (folder / "commands.log").read_text().splitlines()
    one, two = (f"{nginx.cluster.address(node)}:13000" for node in ("node1", "node2"))
    assert [line.split("|")[0].strip() for line in log] == [
        "maintenance",
        "traffic",
        f"drain {one}",
    ]
    assert one in log[1] and two in log[1]
    assert one not in log[2].split("|")[1]


def ask(
    front: Front,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    *,
    body: bytes | None = None,
    tls: bool = False,
) -> tuple[int, dict[str, str], str]:
    """Status, headers with small names, body."""
    connection: http.client.HTTPConnection
    if tls:
        context = ssl._create_unverified_context()  # noqa: S323 - a certificate of the test
        connection = http.client.HTTPSConnection(front.address, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection(front.address, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text
    finally:
        connection.close()


def show(expression: str) -> dict[str, Any]:
    return {"debug": {"var": expression}}


def drain_all(front: Front) -> list[dict[str, Any]]:
    nodes = yaml.safe_load(front.inventory.read_text())["all"]["children"]["app"]["hosts"]
    return [{"balancer_drain": {"node": node}} for node in nodes]


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def make_pair(folder: Path, name: str) -> None:
    """A certificate that ends soon, and its key."""
    line = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 7 -subj /CN=app.example"
        f" -keyout {name}.key -out {name}.pem"
    )
    subprocess.run(shlex.split(line), cwd=folder, check=True, capture_output=True)
    (folder / f"{name}.key").chmod(0o600)
