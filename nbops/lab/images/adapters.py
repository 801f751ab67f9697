"""The lab's own Redis adapters: four small plugins that make a rehearsal a true cluster.

They stand in for NocoBase's commercial adapters, register at the same documented interfaces
of the app and read the same variables. They bear names of their own and are a part of the
lab alone, never offered for production.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources

from nbops.lab.images.recipes import File

_SCOPE = "@nbops-lab"
_VERSION = "1.0.0"
_SHARED = "connect.js"
_ADAPTERS = {
    "lock-adapter-redis": "Locks",
    "pubsub-adapter-redis": "Messages between nodes",
    "queue-adapter-redis": "Queue",
    "workerid-allocator-redis": "Worker ids",
}
ADAPTER_PLUGINS = tuple(f"{_SCOPE}/plugin-{name}" for name in _ADAPTERS)
"""Their packages, as `plugins.append` names them."""


def adapter_files(modules: str) -> Mapping[str, File]:
    """All files of the four packages below a folder of node modules."""
    found = {}
    for name, purpose in _ADAPTERS.items():
        home = f"{modules}/{_SCOPE}/plugin-{name}"
        found[f"{home}/package.json"] = File(_package(name, purpose))
        found[f"{home}/dist/server/index.js"] = File(_source(f"{name}.js"))
        found[f"{home}/dist/server/{_SHARED}"] = File(_source(_SHARED))
        # NocoBase asks each plugin which versions it was built with.
        found[f"{home}/dist/externalVersion.js"] = File("module.exports = {};\n")
    return found


def _package(name: str, purpose: str) -> str:
    content = {
        "name": f"{_SCOPE}/plugin-{name}",
        "version": _VERSION,
        "private": True,
        "displayName": f"{purpose} by Redis (rehearsal lab)",
        "description": "A part of nbops' rehearsal lab; never for production.",
        "main": "./dist/server/index.js",
        "peerDependencies": {"@nocobase/server": "2.x"},
    }
    return json.dumps(content, indent=2) + "\n"


def _source(name: str) -> str:
    folder = resources.files(__package__) / "nocobase" / "adapters"
    return (folder / name).read_text(encoding="utf-8")
