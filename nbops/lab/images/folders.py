"""The apps of the images as packed folders, for machines that run them without containers.

The same app as in the image, from the image's own layers; with yarn beside it, because the
machines reach no registry, and for the sample app with the command that starts NocoBase.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from nbops.base.events import Emit
from nbops.lab.events import LabStep
from nbops.lab.images import build
from nbops.lab.images.storage import RegistryStorage, blob_path
from nbops.lab.locks import folder_lock
from nbops.lab.shell import run, tied

FORMAT = 1
_DEADLINE = 600
_KEPT = 7 * 86400  # seconds since a lab was last made with it

# Layers are laid on each other in memory; the first is the Debian below the app.
_FRAME = """\
set -eu
mount -t tmpfs -o mode=755 tmpfs "$ROOM"
cd "$ROOM"
for layer in $LAYERS; do tar --use-compress-program=zstd -xf "$layer"; done
app=app/nocobase
if [ -d usr/local/lib/yarn ]; then
    cp -R usr/local/lib/yarn "$app/node_modules/yarn"
    ln -s ../yarn/bin/yarn.js "$app/node_modules/.bin/yarn"
fi
if [ ! -e "$app/node_modules/.bin/nocobase" ]; then
    mkdir -p "$app/node_modules/.bin"
    echo 'require(`${process.cwd()}/server.js`);' > "$app/node_modules/.bin/nocobase"
fi
rm -rf "$app/storage"
tar -C app --sort=name --numeric-owner --owner=0 --group=0 --mtime='2026-01-01 00:00:00Z' \\
    -cf - nocobase | gzip -1n > "$OUT"
"""


def ensure_folders(app: str, versions: Sequence[str], cache: Path, emit: Emit) -> str:
    """The packed folders of `app` (`nocobase` or `sample`) in these versions, made if need be.

    Gives their path with `{version}` for the version, as `runtime.package.source` takes it.
    Two calls at once pack once. Raises LabError when they cannot be made.
    """
    images = build.ensure(app, versions, cache, emit)
    home = cache / "folders"
    key = _key(images)
    with folder_lock(home, deadline=_DEADLINE + 60):
        for version in images.tags:
            target = home / f"{app}-{key}-{version}.tar.gz"
            if not target.exists():
                _pack(images, version, target, emit)
            target.touch()
        for old in home.glob("*.tar.gz"):
            if time.time() - old.stat().st_mtime > _KEPT:
                old.unlink()
    return str(home / f"{app}-{key}-{{version}}.tar.gz")


def app_layers(images: RegistryStorage, version: str) -> list[Path]:
    """The packed layers of an image but for the lowest, from the bottom up."""
    manifest = json.loads((images.folder / blob_path(images.digests[version])).read_bytes())
    return [images.folder / blob_path(layer["digest"]) for layer in manifest["layers"][1:]]


def _pack(images: RegistryStorage, version: str, target: Path, emit: Emit) -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".packing-") as scratch:
        room, made = Path(scratch) / "room", Path(scratch) / "made"
        room.mkdir()
        frame = Path(scratch) / "frame"
        frame.write_text(f"set -o pipefail\n{_FRAME}", encoding="utf-8")
        layers = " ".join(str(path) for path in app_layers(images, version))
        env = {"ROOM": str(room), "OUT": str(made), "LAYERS": layers}
        run(tied(["bash", frame]), deadline=_DEADLINE, env=env)
        os.rename(made, target)  # noqa: PTH104  there whole or not at all
    size = target.stat().st_size / 1e6
    message = f"packed folder of {version}: {size:.0f} MB"
    emit(LabStep(name="images", message=message, seconds=time.monotonic() - began))


def _key(images: RegistryStorage) -> str:
    made_of = json.dumps([FORMAT, _FRAME, dict(images.digests)], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()[:12]
