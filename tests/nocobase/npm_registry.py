"""A package registry on loopback for the real npm, with small packages in the app's place."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Makes what create-nocobase-app makes, as far as nbops looks at it.
CREATE = """\
#!/usr/bin/env node
const fs = require("fs");
const [, , name, ...flags] = process.argv;
fs.mkdirSync(name);
const app = { name, resolutions: { async: "3" }, flags };
fs.writeFileSync(`${name}/package.json`, JSON.stringify(app));
fs.writeFileSync(`${name}/.env`, "APP_KEY=drawn");
"""

# Installs nothing, and writes down how it was called.
YARN = """\
#!/usr/bin/env node
const fs = require("fs");
fs.mkdirSync("node_modules/.bin", { recursive: true });
fs.writeFileSync("node_modules/.bin/nocobase", "");
fs.writeFileSync(
  "yarn.lock",
  JSON.stringify({ args: process.argv.slice(2), registry: process.env.npm_config_registry }),
);
"""


@contextmanager
def registry(version: str) -> Iterator[str]:
    """Serves both packages; gives the registry's address."""
    tarballs = {
        "create-nocobase-app": (version, "create-nocobase-app", CREATE),
        "yarn": ("1.22.22", "yarn", YARN),
    }
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body or b"{}")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    for name, (number, program, script) in tarballs.items():
        packed = _packed(name, number, program, script)
        files[f"/{name}/-/{name}.tgz"] = packed
        files[f"/{name}"] = json.dumps(_told(address, name, number, program, packed)).encode()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()


def _packed(name: str, version: str, program: str, script: str) -> bytes:
    about = {"name": name, "version": version, "bin": {program: f"bin/{program}.js"}}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for path, text in {
            "package/package.json": json.dumps(about),
            f"package/bin/{program}.js": script,
        }.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(text), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def _told(
    address: str, name: str, version: str, program: str, packed: bytes
) -> Mapping[str, object]:
    integrity = base64.b64encode(hashlib.sha512(packed).digest()).decode()
    return {
        "name": name,
        "dist-tags": {"latest": version},
        "versions": {
            version: {
                "name": name,
                "version": version,
                "bin": {program: f"bin/{program}.js"},
                "dist": {
                    "tarball": f"{address}{name}/-/{name}.tgz",
                    "integrity": f"sha512-{integrity}",
                },
            }
        },
    }
