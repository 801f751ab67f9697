"""The folder that a registry serves images from, written without the registry.

The layout is that of the `filesystem` driver of docker-registry 2: blobs by digest, and
small link files that say which blobs a repository has and what its tags mean
(https://github.com/distribution/distribution, registry/storage/paths.go).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbops.lab.images import oci
from nbops.lab.images.oci import PackedLayer, digest_of
from nbops.lab.images.plan import Plan

_ROOT = Path("docker/registry/v2")


@dataclass(frozen=True)
class RegistryStorage:
    """A folder with the images of one repository. `digests` maps tag to image digest."""

    folder: Path
    repository: str
    tags: tuple[str, ...]
    digests: Mapping[str, str]


@dataclass(frozen=True)
class StoredImage:
    """One image as the registry keeps it: its tag, its documents, the digests of its layers."""

    tag: str
    manifest: bytes
    config: bytes
    layers: tuple[str, ...]


def registry_settings(folder: Path, address: str) -> str:
    """Settings (YAML) for `docker-registry serve`: `folder` at `address`, nothing written."""
    return (
        "version: 0.1\n"
        "log: {level: warn, accesslog: {disabled: true}}\n"
        "storage:\n"
        f"  filesystem: {{rootdirectory: {folder}}}\n"
        "  maintenance: {readonly: {enabled: true}, uploadpurging: {enabled: false}}\n"
        f"http: {{addr: '{address}'}}\n"
    )


def stored_images(plan: Plan, layers: Mapping[str, PackedLayer]) -> tuple[StoredImage, ...]:
    """The plan's images with their documents; `layers` maps layer key to packed layer."""
    images = []
    for image in plan.images:
        pile = tuple(layers[layer.key] for layer in image.layers)
        config = oci.config(image, pile, plan.architecture)
        manifest = oci.manifest(config, pile)
        images.append(StoredImage(image.tag, manifest, config, tuple(la.digest for la in pile)))
    return tuple(images)


def blob_path(digest: str) -> Path:
    """Where the blob with this digest lies in the storage folder."""
    algorithm, _, number = digest.partition(":")
    return _ROOT / "blobs" / algorithm / number[:2] / number / "data"


def links(repository: str, images: Iterable[StoredImage]) -> dict[Path, str]:
    """All link files of the repository: path in the storage folder, digest it holds."""
    home = _ROOT / "repositories" / repository
    found: dict[Path, str] = {}
    for image in images:
        manifest = digest_of(image.manifest)
        for digest in (digest_of(image.config), *image.layers):
            found[home / "_layers" / _parts(digest) / "link"] = digest
        tag = home / "_manifests" / "tags" / image.tag
        found[home / "_manifests" / "revisions" / _parts(manifest) / "link"] = manifest
        found[tag / "current" / "link"] = manifest
        found[tag / "index" / _parts(manifest) / "link"] = manifest
    return found


def write(
    folder: Path, repository: str, images: Sequence[StoredImage], files: Mapping[str, Path]
) -> None:
    """Fill `folder`. `files` maps layer digest to packed file; the files are hard-linked."""
    for image in images:
        for document in (image.manifest, image.config):
            _put(folder / blob_path(digest_of(document)), document)
        for digest in image.layers:
            _link(files[digest], folder / blob_path(digest))
    for path, digest in links(repository, images).items():
        _put(folder / path, digest.encode())


def read(folder: Path, repository: str, tags: Sequence[str]) -> RegistryStorage | None:
    """The images of `tags` in `folder`, or nothing when the folder is not there."""
    if not folder.is_dir():
        return None
    home = folder / _ROOT / "repositories" / repository / "_manifests" / "tags"
    digests = {tag: (home / tag / "current" / "link").read_text("ascii") for tag in tags}
    return RegistryStorage(folder, repository, tuple(tags), digests)


def _parts(digest: str) -> Path:
    algorithm, _, number = digest.partition(":")
    return Path(algorithm) / number


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        os.link(source, target)
