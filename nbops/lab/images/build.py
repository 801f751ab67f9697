"""Builds what is missing of an app's images, once, and says where they are."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nbops.base.errors import LabError
from nbops.base.events import Emit
from nbops.lab.base import mirror
from nbops.lab.events import LabStep
from nbops.lab.images import pack, storage
from nbops.lab.images.oci import PackedLayer
from nbops.lab.images.plan import REQUIRED_PACKAGES, Layer, Plan, plan
from nbops.lab.images.storage import RegistryStorage
from nbops.lab.locks import folder_lock
from nbops.lab.shell import run

BUILD_DEADLINE = 1800
ROOM_NEEDED = 6 * 10**9
_BUILDING = "building-"


def ensure(app: str, versions: Sequence[str], cache: Path, emit: Emit) -> RegistryStorage:
    """The images of `app` (`nocobase` or `sample`) in these versions, built if need be.

    They are kept under `cache` by a hash of all that they are made of; two calls at once
    build once. Raises LabError with what to do when they cannot be built.
    """
    wanted = plan(app, versions, platform.machine())
    home = cache / "images"
    folder = home / f"registry-{app}-{wanted.key}"
    tags = tuple(image.tag for image in wanted.images)
    found = storage.read(folder, wanted.repository, tags)
    if found is None:
        began = time.monotonic()
        emit(_step(f"building images of {app} {', '.join(tags)} (first time only)"))
        with folder_lock(home, deadline=BUILD_DEADLINE + 60):
            found = storage.read(folder, wanted.repository, tags) or _build(
                wanted, home, folder, emit
            )
        emit(_step(f"images of {app} ready", time.monotonic() - began))
    return found


def _build(wanted: Plan, home: Path, folder: Path, emit: Emit) -> RegistryStorage:
    _check_box(home)
    _remove(*home.glob(f"{_BUILDING}*"))
    layers = _ensure_layers(wanted.layers, home, emit)
    images = storage.stored_images(wanted, layers)
    files = {
        layers[layer.key].digest: _folder_of(layer, home) / pack.LAYER_FILE
        for layer in wanted.layers
    }
    building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=home))
    building.chmod(0o755)
    storage.write(building, wanted.repository, images, files)
    os.rename(building, folder)  # noqa: PTH104  a folder is moved whole or not at all
    _remove_older(wanted.layers, home)
    found = storage.read(folder, wanted.repository, [image.tag for image in images])
    if found is None:
        raise LabError(f"{folder} went away while it was being made")
    return found


def _ensure_layers(layers: Sequence[Layer], home: Path, emit: Emit) -> Mapping[str, PackedLayer]:
    """Layers that stand on no other are built side by side, then those that do."""

    def ready(layer: Layer) -> tuple[str, PackedLayer]:
        done = pack.packed(_folder_of(layer, home)) or _build_layer(layer, home, emit)
        return layer.key, done

    first = [layer for layer in layers if layer.on is None]
    rest = [layer for layer in layers if layer.on is not None]
    with ThreadPoolExecutor(max_workers=2) as pool:
        return {**dict(pool.map(ready, first)), **dict(pool.map(ready, rest))}


def _build_layer(layer: Layer, home: Path, emit: Emit) -> PackedLayer:
    began = time.monotonic()
    emit(_step(f"building layer {layer.name}"))
    env = {"MIRROR": mirror()}
    if layer.on is not None:
        env["BELOW"] = str(_folder_of(layer.on, home) / pack.LAYER_FILE)
    log = home / f"{layer.name}.log"
    log.unlink(missing_ok=True)
    building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=home))
    try:
        out = pack.build(
            layer.script,
            layer.files,
            building,
            env,
            name=layer.name,
            log=log,
            deadline=BUILD_DEADLINE,
        )
        done = pack.packed(out)
        out.rename(_folder_of(layer, home))
    finally:
        _remove(building)
    if done is None:
        raise LabError(f"the {layer.name} layer went away while it was being made")
    emit(_step(f"layer {layer.name}: {done.size / 1e6:.0f} MB", time.monotonic() - began))
    return done


def _folder_of(layer: Layer, home: Path) -> Path:
    return home / f"layer-{layer.name}-{layer.key}"


def _remove_older(layers: Sequence[Layer], home: Path) -> None:
    """Remove the layers that these replace. Registry folders keep their own links to them."""
    kept = {_folder_of(layer, home) for layer in layers}
    names = {f"layer-{layer.name}" for layer in layers}
    for folder in home.glob("layer-*"):
        if folder not in kept and folder.name.rpartition("-")[0] in names:
            _remove(folder)


def _check_box(home: Path) -> None:
    missing = [package for program, package in REQUIRED_PACKAGES.items() if not _has(program)]
    if missing:
        raise LabError(
            f"the images cannot be built: {', '.join(missing)} not installed",
            hint=f"apt-get install {' '.join(missing)}",
        )
    free = shutil.disk_usage(home).free
    if free < ROOM_NEEDED:
        raise LabError(
            f"the images cannot be built: {free / 1e9:.1f} GB free in {home}, "
            f"{ROOM_NEEDED / 1e9:.0f} GB needed",
            hint="free some room on that disk",
        )


def _has(program: str) -> bool:
    return shutil.which(program) is not None


def _remove(*folders: Path) -> None:
    for folder in folders:
        run(["rm", "-rf", "--one-file-system", folder], deadline=300)


def _step(message: str, seconds: float = 0.0) -> LabStep:
    return LabStep(name="images", message=message, seconds=seconds)
