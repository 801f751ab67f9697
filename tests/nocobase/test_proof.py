"""The proof that nodes are a cluster: what answers mean, and the change that is made and undone."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nbops.nocobase import proof
from nbops.nocobase.cluster import Endpoint, cluster_of
from nbops.nocobase.http import Answer
from nbops.nocobase.plans import expected_plugins
from nbops.nocobase.proof import RoundTrip, read_round_trip, round_trip_script

Variables = Callable[..., Mapping[str, Any]]
TOKEN = "a-token-that-nobody-may-see"


def data(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps({"data": value}))


def test_a_cluster_on_version_2_expects_four_plugins(variables: Variables) -> None:
    cluster = cluster_of(variables())
    assert expected_plugins(cluster, cluster.me) == (
        "lock-adapter-redis",
        "pubsub-adapter-redis",
        "queue-adapter-redis",
        "workerid-allocator-redis",
    )


def test_plugins_that_are_not_enabled_are_missing() -> None:
    listed = data(
        [
            {"name": "a", "packageName": "@x/plugin-a", "enabled": True},
            {"name": "b", "packageName": "@x/plugin-b", "enabled": False},
        ]
    )
    assert proof.missing_plugins(listed, ("a", "@x/plugin-a", "b", "c")) == ["b", "c"]


@pytest.mark.parametrize("answer", [Answer(0), Answer(502, "<html>"), data({}), data("x")])
def test_an_answer_that_is_no_list_has_no_plugins(answer: Answer) -> None:
    assert proof.missing_plugins(answer, ("a",)) == ["a"]


def test_a_plugin_whose_package_is_not_what_the_database_knows_is_stale() -> None:
    node = data(
        [
            {"name": "same", "version": "2.2.16", "enabled": True},
            {"name": "old", "version": "2.2.15", "enabled": True},
            {"name": "off", "version": "2.2.15", "enabled": False},
        ]
    )
    database = data([{"name": name, "version": "2.2.16"} for name in ("same", "old", "off")])
    assert proof.stale_plugins(node, database) == ["old 2.2.15 (database: 2.2.16)"]


def test_the_version_of_the_database_is_read() -> None:
    assert proof.recorded_version(data([{"id": 1, "value": "2.2.15"}])) == "2.2.15"
    assert proof.recorded_version(data([])) == ""
    assert proof.recorded_version(Answer(503)) == ""


def test_the_default_file_storage_is_told_from_the_others() -> None:
    rows = [{"type": "local", "default": False}, {"type": "s3", "default": True}]
    assert proof.default_storage(data(rows)) == "s3"


def test_who_did_not_notice_is_named_for_each_direction() -> None:
    apps = [Endpoint(f"node{number}", 1, f"198.18.0.1{number}", 13000) for number in (1, 2, 3)]
    every = frozenset({0, 1, 2})
    assert proof.deaf(RoundTrip(200, 200, every, every), apps) == ""
    there = proof.deaf(RoundTrip(200, 0, frozenset({0, 1})), apps)
    assert there == "a change made through node1 was not noticed by node3 within 20 s"
    back = proof.deaf(RoundTrip(200, 200, every, frozenset({1, 2})), apps)
    assert back == "a change undone through node3 was not noticed by node1 within 20 s"


@dataclass
class Nodes:
    """Apps of which each knows storages as a node of NocoBase does: by what it was told."""

    deaf: frozenset[int] = frozenset()
    status: int = 200
    known: list[set[str]] = field(default_factory=lambda: [set(), set(), set()])
    bodies: list[Any] = field(default_factory=list)

    def answer(self, node: int, path: str, body: bytes) -> int:
        url = urlsplit(path)
        if url.path.startswith("/api/storages:getBasicInfo/"):
            return 200 if url.path.rpartition("/")[2] in self.known[node] else 404
        if self.status != 200:
            return self.status
        if url.path == "/api/storages:create":
            self.bodies.append(json.loads(body))
            self.tell(node, lambda known: known.add(self.bodies[-1]["name"]))
        if url.path == "/api/storages:destroy":
            part = json.loads(parse_qs(url.query)["filter"][0])["name"]["$includes"]
            gone = {name for known in self.known for name in known if part in name}
            self.tell(node, lambda known: known.difference_update(gone))
        return 200

    def tell(self, speaker: int, change: Callable[[set[str]], None]) -> None:
        for number, known in enumerate(self.known):
            if number == speaker or not {number, speaker} & self.deaf:
                change(known)


@contextmanager
def serving(nodes: Nodes) -> Iterator[list[Endpoint]]:
    servers = []
    for number in range(len(nodes.known)):

        class Handler(BaseHTTPRequestHandler):
            node = number

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
                body = self.rfile.read(length)
                self.send_response(nodes.answer(self.node, self.path, body) if allowed else 401)
                self.end_headers()

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
    try:
        yield [
            Endpoint(f"node{number}", 1, "127.0.0.1", server.server_address[1])
            for number, server in enumerate(servers, 1)
        ]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def go(apps: list[Endpoint]) -> RoundTrip:
    script = round_trip_script(apps, "run-1", {"node2"})
    assert TOKEN not in script
    done = subprocess.run(
        ["sh", "-c", script],
        env={**os.environ, "NBOPS_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return read_round_trip(done.stdout)


def test_a_change_goes_from_the_first_node_to_all_and_back_from_the_last() -> None:
    nodes = Nodes()
    with serving(nodes) as apps:
        trip = go(apps)
    assert trip == RoundTrip(200, 200, frozenset({0, 1, 2}), frozenset({0, 1, 2}))
    assert proof.deaf(trip, apps) == ""
    (made,) = nodes.bodies
    assert (made["type"], made["default"]) == ("local", False)


def test_nothing_is_left_of_it_nor_of_one_that_was_killed() -> None:
    nodes = Nodes()
    nodes.known = [{"local", "nbops-probe-killed"} for _ in nodes.known]
    with serving(nodes) as apps:
        go(apps)
    assert nodes.known == [{"local"}] * 3


def test_a_node_that_hears_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "PATIENCE", 1)
    nodes = Nodes(deaf=frozenset({1}))
    with serving(nodes) as apps:
        trip = go(apps)
    assert trip.seen == {0, 2}
    assert "not noticed by node2" in proof.deaf(trip, apps)
    assert nodes.known[0] == nodes.known[2] == set()


def test_an_account_that_may_not_is_told_from_a_cluster_that_is_none() -> None:
    with serving(Nodes(status=403)) as apps:
        assert go(apps) == RoundTrip(made=403)
