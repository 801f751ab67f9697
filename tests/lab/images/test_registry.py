"""The storage folder, served by a real registry."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from pathlib import Path

import pytest

from nbops.base.events import Event
from nbops.lab.images import RegistryStorage, ensure, registry_settings
from nbops.lab.images.oci import MANIFEST_TYPE
from nbops.lab.state import CACHE

from .conftest import IN_ROOT, Boxes, free_port, until_it_answers

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def storage(events: list[Event]) -> RegistryStorage:
    return ensure("sample", ["2.2.15", "2.2.16"], CACHE, events.append)


@pytest.fixture(scope="module")
def registry(servers: Boxes, machines_tree: Path, storage: RegistryStorage) -> str:
    address = f"127.0.0.1:{free_port()}"
    settings = registry_settings(Path("/app/nocobase/storage"), address)
    script = f"cat > /tmp/settings <<'END'\n{settings}END\nexec docker-registry serve /tmp/settings"
    server = servers.start([machines_tree], [*IN_ROOT, "sh", "-c", script], storage.folder)
    until_it_answers(server, ["curl", "-fsS", f"http://{address}/v2/"])
    return f"http://{address}/v2/{storage.repository}"


def fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": MANIFEST_TYPE})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  own port
        return bytes(answer.read())


def test_the_registry_knows_all_tags(registry: str, storage: RegistryStorage) -> None:
    assert sorted(json.loads(fetch(f"{registry}/tags/list"))["tags"]) == sorted(storage.tags)


def test_the_registry_serves_every_piece_of_every_image(
    registry: str, storage: RegistryStorage
) -> None:
    for tag in storage.tags:
        text = fetch(f"{registry}/manifests/{tag}")
        assert f"sha256:{hashlib.sha256(text).hexdigest()}" == storage.digests[tag]
        manifest = json.loads(text)
        for blob in (manifest["config"], *manifest["layers"]):
            content = fetch(f"{registry}/blobs/{blob['digest']}")
            assert f"sha256:{hashlib.sha256(content).hexdigest()}" == blob["digest"]
            assert len(content) == blob["size"]


def test_images_that_are_there_are_not_built_again(storage: RegistryStorage) -> None:
    said: list[Event] = []
    assert ensure("sample", ["2.2.15", "2.2.16"], CACHE, said.append) == storage
    assert said == []
