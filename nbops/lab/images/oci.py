"""The two documents of an image, as the OCI image specification has them. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nbops.lab.images.plan import Image

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"

# Nothing in an image depends on when it was built.
CREATED = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class PackedLayer:
    """A layer as a blob: the digest of its file, of the tar inside, and its size in bytes."""

    name: str
    digest: str
    diff_id: str
    size: int


def digest_of(data: bytes) -> str:
    """`sha256:` and the hash of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def config(image: Image, layers: Sequence[PackedLayer], architecture: str) -> bytes:
    """The image's configuration: how it starts, and the tars it is made of."""
    return _document(
        {
            "architecture": architecture,
            "os": "linux",
            "created": CREATED,
            "config": {
                "Env": list(image.env),
                "Cmd": list(image.command),
                "WorkingDir": image.workdir,
                "ExposedPorts": {f"{image.port}/tcp": {}},
                "Labels": {"org.opencontainers.image.version": image.tag},
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": CREATED, "created_by": layer.name} for layer in layers],
        }
    )


def manifest(config_document: bytes, layers: Sequence[PackedLayer]) -> bytes:
    """The image's manifest; its digest is the digest of the image."""
    return _document(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": CONFIG_TYPE,
                "digest": digest_of(config_document),
                "size": len(config_document),
            },
            "layers": [
                {"mediaType": LAYER_TYPE, "digest": layer.digest, "size": layer.size}
                for layer in layers
            ],
        }
    )


def _document(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode()
