"""Which layers make which image. Pure: scripts, files, settings and the keys of the cache.

An image is a pile of layers; a layer is a script that fills an empty folder, and files
put in beside. The second version of an app is a thin layer on the first, so that a node
that has one pulls little for the other.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nbops.base.errors import LabError
from nbops.lab.images import recipes
from nbops.lab.images.adapters import adapter_files
from nbops.lab.images.recipes import File

FORMAT = 1
FIRST_VERSION = recipes.NOCOBASE_VERSION

# The programs that a build needs on this box, and Debian's package of each: what is missing
# is to be installed.
REQUIRED_PACKAGES: Mapping[str, str] = {
    "debootstrap": "debootstrap",
    "node": "nodejs",
    "npm": "npm",
    "zstd": "zstd",
}

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WORKDIR = "/app/nocobase"


@dataclass(frozen=True)
class Layer:
    """A layer: `script` fills the folder `$ROOT`, then `files` are written into it.

    The script also knows `$WORK` (a scratch folder), `$MIRROR` (the Debian archive) and,
    when the layer stands `on` another, `$BELOW` (that layer's packed file).
    """

    name: str
    script: str
    files: Mapping[str, File] = field(default_factory=dict)
    on: Layer | None = None

    @property
    def key(self) -> str:
        """Twelve hex digits that change with anything the layer is made of."""
        made_of = [
            self.name,
            self.script,
            {path: [file.mode, file.text] for path, file in self.files.items()},
            self.on.key if self.on else "",
        ]
        return fingerprint(made_of)


@dataclass(frozen=True)
class Image:
    """A tag, its layers from the bottom up, and how a container of it starts."""

    tag: str
    layers: tuple[Layer, ...]
    env: tuple[str, ...]
    command: tuple[str, ...] = ("/app/docker-entrypoint.sh",)
    workdir: str = _WORKDIR
    port: int = 13000


@dataclass(frozen=True)
class Plan:
    """All images of one repository, for one kind of processor (in the registry's words)."""

    repository: str
    images: tuple[Image, ...]
    architecture: str

    @property
    def key(self) -> str:
        """Twelve hex digits that change with anything the images are made of."""
        made_of = [
            [image.tag, image.env, image.command, image.workdir, [la.key for la in image.layers]]
            for image in self.images
        ]
        return fingerprint([self.repository, self.architecture, made_of])

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer once, each after the one that it stands on."""
        return tuple({layer.key: layer for im in self.images for layer in im.layers}.values())


def plan(app: str, versions: Sequence[str], machine: str = platform.machine()) -> Plan:
    """The images of `app` (`nocobase` or `sample`), one for each of `versions`.

    Raises LabError for an app, a version or a processor that images cannot be made for.
    """
    if app not in ("nocobase", "sample"):
        raise LabError(f"there is no app {app!r} to make images of", hint="nocobase or sample")
    if machine not in _ARCHITECTURES:
        raise LabError(f"images cannot be made on this processor ({machine})")
    if not versions:
        raise LabError("no version was asked for")
    for version in versions:
        _check(version)
    make = _nocobase if app == "nocobase" else _sample
    images = tuple(make(version) for version in dict.fromkeys(versions))
    return Plan(f"nocobase/{app}", images, _ARCHITECTURES[machine])


def fingerprint(made_of: object) -> str:
    """Twelve hex digits for plain data, the same for the same data."""
    text = json.dumps([FORMAT, made_of], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def base_layer() -> Layer:
    """A small Debian with Node.js, which both apps stand on."""
    return Layer("base", recipes.BASE)


def _nocobase(version: str) -> Image:
    app = Layer("nocobase", recipes.NOCOBASE, recipes.nocobase_files())
    layers = [base_layer(), app]
    if version != FIRST_VERSION:
        script = recipes.NOCOBASE_NEXT.replace("@VERSION@", version)
        files = recipes.nocobase_next_files()
        layers.append(Layer(f"nocobase-{version}", script, files, on=app))
    layers.append(Layer("adapters", "true", adapter_files(f"{_WORKDIR}/node_modules")))
    env = (
        f"PATH={_WORKDIR}/node_modules/.bin:{_PATH}",
        "APP_ENV=production",
        "NOCOBASE_RUNNING_IN_DOCKER=true",
    )
    return Image(version, tuple(layers), env)


def _sample(version: str) -> Image:
    modules = Layer("sample-modules", recipes.SAMPLE_MODULES, recipes.sample_module_files())
    app = Layer("sample", "true", recipes.sample_files())
    stamp = File(f"{version}\n")
    number = Layer(f"sample-{version}", "true", {f"{_WORKDIR}/VERSION": stamp})
    env = (f"PATH={_PATH}", "APP_ENV=production", "NOCOBASE_RUNNING_IN_DOCKER=true")
    return Image(version, (base_layer(), modules, app, number), env)


def _check(version: str) -> None:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise LabError(f"{version!r} is not a version an image can be made of", hint="like 2.2.16")
    if _numbers(version) < _numbers(FIRST_VERSION):
        raise LabError(
            f"there is no image of {version}: {FIRST_VERSION} is the oldest",
            hint=f"ask for {FIRST_VERSION} or a later one",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
