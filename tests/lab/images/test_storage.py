"""The documents of an image, and the folder that a registry serves it from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from nbops.lab.images import oci, storage
from nbops.lab.images.oci import PackedLayer
from nbops.lab.images.plan import plan
from nbops.lab.images.storage import StoredImage

PLAN = plan("sample", ["2.2.15", "2.2.16"], "x86_64")
HASH = {layer.name: hashlib.sha256(layer.name.encode()).hexdigest() for layer in PLAN.layers}
LAYERS = {
    layer.key: PackedLayer(layer.name, f"sha256:{HASH[layer.name]}", f"sha256:{'0' * 64}", 7)
    for layer in PLAN.layers
}


@pytest.fixture
def images() -> tuple[StoredImage, ...]:
    return storage.stored_images(PLAN, LAYERS)


@pytest.fixture
def folder(tmp_path: Path, images: tuple[StoredImage, ...]) -> Path:
    files = {}
    for layer in LAYERS.values():
        files[layer.digest] = tmp_path / layer.name
        files[layer.digest].write_bytes(layer.name.encode())
    made = tmp_path / "storage"
    storage.write(made, PLAN.repository, images, files)
    return made


def test_the_manifest_names_the_configuration_by_its_digest(
    images: tuple[StoredImage, ...],
) -> None:
    manifest = json.loads(images[0].manifest)
    assert manifest["config"]["digest"] == oci.digest_of(images[0].config)
    assert manifest["config"]["size"] == len(images[0].config)


def test_the_manifest_lists_the_layers_from_the_bottom_up(images: tuple[StoredImage, ...]) -> None:
    manifest = json.loads(images[1].manifest)
    names = ["base", "sample-modules", "sample", "sample-2.2.16"]
    assert [la["digest"] for la in manifest["layers"]] == [f"sha256:{HASH[n]}" for n in names]
    assert {la["mediaType"] for la in manifest["layers"]} == {oci.LAYER_TYPE}


def test_the_configuration_says_how_a_container_starts(images: tuple[StoredImage, ...]) -> None:
    config = json.loads(images[0].config)
    assert config["architecture"] == "amd64"
    assert config["config"]["Cmd"] == ["/app/docker-entrypoint.sh"]
    assert config["config"]["WorkingDir"] == "/app/nocobase"
    assert config["config"]["ExposedPorts"] == {"13000/tcp": {}}
    assert len(config["rootfs"]["diff_ids"]) == len(images[0].layers)


def test_the_same_layers_make_the_same_image(images: tuple[StoredImage, ...]) -> None:
    assert storage.stored_images(PLAN, LAYERS) == images


def test_every_blob_lies_where_its_digest_says(
    folder: Path, images: tuple[StoredImage, ...]
) -> None:
    for image in images:
        for digest in (oci.digest_of(image.manifest), oci.digest_of(image.config), *image.layers):
            content = (folder / storage.blob_path(digest)).read_bytes()
            assert oci.digest_of(content) == digest


def test_a_layer_in_two_images_is_there_once(folder: Path) -> None:
    blobs = list((folder / "docker/registry/v2/blobs").rglob("data"))
    assert len(blobs) == len(LAYERS) + 2 * len(PLAN.images)


def test_every_tag_leads_to_its_manifest(folder: Path, images: tuple[StoredImage, ...]) -> None:
    tags = folder / "docker/registry/v2/repositories/nocobase/sample/_manifests/tags"
    assert sorted(tag.name for tag in tags.iterdir()) == ["2.2.15", "2.2.16"]
    for image in images:
        link = (tags / image.tag / "current/link").read_text()
        assert (folder / storage.blob_path(link)).read_bytes() == image.manifest


def test_a_repository_links_every_blob_that_it_serves(images: tuple[StoredImage, ...]) -> None:
    links = storage.links(PLAN.repository, images)
    home = Path("docker/registry/v2/repositories/nocobase/sample/_layers/sha256")
    for image in images:
        for digest in (oci.digest_of(image.config), *image.layers):
            assert links[home / digest.removeprefix("sha256:") / "link"] == digest


def test_what_was_written_is_read_again(folder: Path, images: tuple[StoredImage, ...]) -> None:
    found = storage.read(folder, PLAN.repository, ["2.2.15", "2.2.16"])
    assert found is not None
    assert found.tags == ("2.2.15", "2.2.16")
    assert found.digests == {image.tag: oci.digest_of(image.manifest) for image in images}


def test_no_folder_is_no_images(tmp_path: Path) -> None:
    assert storage.read(tmp_path / "nowhere", PLAN.repository, ["2.2.15"]) is None


def test_a_registry_is_told_to_serve_and_not_to_write() -> None:
    settings = yaml.safe_load(storage.registry_settings(Path("/srv/images"), "127.0.0.1:5000"))
    assert settings["storage"]["filesystem"] == {"rootdirectory": "/srv/images"}
    assert settings["storage"]["maintenance"]["readonly"] == {"enabled": True}
    assert settings["http"] == {"addr": "127.0.0.1:5000"}
